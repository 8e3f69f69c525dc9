//! `check-config`: every mistake of a configuration file at once.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EX_CONFIG, complain, say};
use crate::config;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The TOML file; IDV__SECTION__KEY variables override what it says.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match config::load(&args.config) {
        Ok(_) => {
            say(format_args!("{}: good", args.config.display()));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            complain(mistakes);
            ExitCode::from(EX_CONFIG)
        }
    }
}
