//! What commands share: the runtime, the configuration file, what a person reads, how a command ends.

use std::fmt::Display;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code for a bad configuration (`EX_CONFIG` of sysexits.h).
const EX_CONFIG: u8 = 78;

/// The flag of the commands that cannot do without a configuration.
#[derive(clap::Args)]
pub(super) struct ConfigFile {
    /// The TOML file; IDV__SECTION__KEY variables override what it says.
    #[arg(long = "config", value_name = "FILE")]
    pub(super) path: PathBuf,
}

/// How a command ends: with an exit code, or with a reason to print as well.
pub(super) type Outcome = Result<ExitCode, Failed>;

/// Why a command failed.
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) code: u8,
}

impl<E: Display> From<E> for Failed {
    fn from(why: E) -> Self {
        Self { why: why.to_string(), code: 1 }
    }
}

/// The configuration is bad.
pub(super) fn bad_config(why: impl Display) -> Failed {
    Failed { code: EX_CONFIG, ..why.into() }
}

/// Runs a command that needs the runtime.
pub(super) fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(command);
    // Name look-ups that hang must not keep a stopped process alive.
    runtime.shutdown_background();
    outcome
}

/// The exit code of a command that has ended, after the reason is written to standard error.
pub(super) fn end(outcome: Outcome) -> ExitCode {
    outcome.unwrap_or_else(|Failed { why, code }| {
        let _ = writeln!(std::io::stderr().lock(), "{why}");
        ExitCode::from(code)
    })
}

/// Writes to standard output. A closed pipe is not a failure; a full disk is.
pub(super) fn say(text: impl Display) -> Result<(), String> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write the output: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The value of a flag that names an address.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")
}

/// The signals that ask to stop: SIGTERM or SIGINT once, to stop gracefully; twice, to stop at once.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from now on, so that none is missed.
    pub(super) fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
