//! What every command shares: the runtime, what a person reads, the exit codes.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

/// The exit code for a bad configuration (`EX_CONFIG` of sysexits.h).
pub(super) const EX_CONFIG: u8 = 78;

/// Runs a command that needs the runtime.
pub(super) fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // Name look-ups that hang must not keep a stopped process alive.
            runtime.shutdown_background();
            code
        }
        Err(error) => fail(format_args!("cannot start: {error}")),
    }
}

/// Writes to standard output. A reader that went away is no reason to fail.
pub(super) fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes why a command failed.
pub(super) fn fail(why: impl Display) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// Writes to standard error.
pub(super) fn complain(why: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{why}");
}
