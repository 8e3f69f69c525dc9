//! `check-config`: every mistake of a configuration file at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::terminal::{Failed, Outcome, bad_config, say};
use crate::config::{self, Config};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The TOML file; IDV__SECTION__KEY variables override what it says.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Outcome {
    load(&args.config)?;
    say(format_args!("{}: good", args.config.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A configuration without a mistake in it or in the files that it names; else all mistakes.
pub(super) fn load(path: &Path) -> Result<Config, Failed> {
    let config = config::load(path).map_err(bad_config)?;
    crate::check(&config).map_err(|error| bad_config(format_args!("{}: {error}", path.display())))?;
    Ok(config)
}
