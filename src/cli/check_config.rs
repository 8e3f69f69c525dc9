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
    let file = args.config.display();
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(mistakes) => {
            complain(mistakes);
            return ExitCode::from(EX_CONFIG);
        }
    };
    if let Err(error) = crate::check(&config) {
        complain(format_args!("{file}: {error}"));
        return ExitCode::from(EX_CONFIG);
    }
    say(format_args!("{file}: good"));
    ExitCode::SUCCESS
}
