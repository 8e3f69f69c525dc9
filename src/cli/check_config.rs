//! `check-config`: every mistake of a configuration file at once.

use std::path::Path;
use std::process::ExitCode;

use super::terminal::{ConfigFile, Failed, Outcome, bad_config, say};
use crate::config::{self, Config};

pub(super) fn run(file: &ConfigFile) -> Outcome {
    load(&file.path)?;
    say(format_args!("{}: good", file.path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A configuration without a mistake in it or in the files that it names; else all mistakes.
pub(super) fn load(path: &Path) -> Result<Config, Failed> {
    let config = config::load(path).map_err(bad_config)?;
    crate::check(&config).map_err(|error| bad_config(format_args!("{}: {error}", path.display())))?;
    Ok(config)
}
