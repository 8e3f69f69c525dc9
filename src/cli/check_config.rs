//! `check-config`: every mistake of a configuration file at once.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::terminal::{EX_CONFIG, complain, say};
use crate::config::{self, Config};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The TOML file; IDV__SECTION__KEY variables override what it says.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match load(&args.config) {
        Ok(_) => {
            say(format_args!("{}: good", args.config.display()));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// A configuration without a mistake in it or in the files that it names; else the exit code, after all mistakes are printed.
pub(super) fn load(path: &Path) -> Result<Config, ExitCode> {
    let config = config::load(path).map_err(bad)?;
    crate::check(&config).map_err(|error| bad(format_args!("{}: {error}", path.display())))?;
    Ok(config)
}

fn bad(why: impl Display) -> ExitCode {
    complain(why);
    ExitCode::from(EX_CONFIG)
}
