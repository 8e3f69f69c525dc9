//! The command line: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    idv_gateway::cli::main()
}
