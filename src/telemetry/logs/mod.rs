//! Structured logs on standard output: JSON or text, never blocking an answer, limited where libraries say too much.

mod queue;

use std::error::Error;
use std::io::{self, Write};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::settings::LogFormat;

pub use queue::AuditPlace;
use queue::Queue;

/// Libraries that write requests, addresses or bytes into their debug logs. Nothing below INFO is taken from them,
/// whatever the configuration says.
const CAPPED: [&str; 7] = ["hyper", "hyper_util", "rustls", "h2", "tokio_rustls", "tower", "axum"];

/// How long the end waits for a slow standard output.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The same while audit lines wait.
const LAST_AUDIT_LINES: Duration = Duration::from_secs(10);

/// Logging is started once per process, and so are its lines.
pub(super) static QUEUE: Queue = Queue::new();

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Writes the lines that still wait when it is dropped, as far as standard output takes them in time.
#[must_use = "lines that still wait are lost when it is dropped early"]
pub struct Logs {
    is_done: mpsc::Receiver<()>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        QUEUE.close();
        let limit = if QUEUE.audit_lines() > 0 { LAST_AUDIT_LINES } else { LAST_LINES };
        let _ = self.is_done.recv_timeout(limit);
    }
}

/// How lines are written; JSON unless logging was started otherwise.
pub(super) fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or(LogFormat::Json)
}

/// Takes a place for an audit line, to be kept until the line is written; `None` while too many lines wait. Whoever has
/// no place must not show what the line would tell of.
pub fn reserve_audit_line() -> Option<AuditPlace> {
    QUEUE.reserve_audit()
}

/// Takes one line at a time.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts logging to `writer`. `filter` is a level or `target=level,…`.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(
    writer: impl Write + Send + 'static,
    filter: &str,
    format: LogFormat,
) -> Result<Logs, Box<dyn Error + Send + Sync>> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(filter)?;
    let cap =
        filter_fn(|metadata| *metadata.level() <= tracing::Level::INFO || !is_capped(metadata.target()));
    let lines = match format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(|| Lines)
            .boxed(),
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(|| Lines).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(cap)).with(filter).try_init()?;
    let _ = FORMAT.set(format);
    let (done, is_done) = mpsc::channel();
    thread::Builder::new().name("logs".to_owned()).spawn(move || {
        QUEUE.write_to(writer);
        let _ = done.send(());
    })?;
    Ok(Logs { is_done })
}

/// Makes a panic say where it happened and not what it held: that may be anything.
pub fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

fn is_capped(target: &str) -> bool {
    CAPPED.iter().any(|library| {
        target.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The only test of this binary that starts logging: that is done once per process.
    #[test]
    fn libraries_log_nothing_below_info_whatever_the_filter_says() {
        let lines = Lines::default();
        let logs = start(lines.clone(), "trace,hyper_util=trace,hyper=debug", LogFormat::Json).unwrap();
        tracing::trace!(target: "idv_gateway::lookup", "ours");
        tracing::debug!(target: "hyper_util::client", "a header of somebody's");
        tracing::trace!(target: "hyper", "bytes");
        tracing::debug!(target: "rustls::client", "a name");
        tracing::debug!(target: "h2::codec", "a frame");
        tracing::warn!(target: "hyper_util::client", "a warning");
        tracing::debug!(target: "hyperbole", "no library");
        drop(logs);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let logged = ["\"ours\"", "a warning", "no library"];
        assert!(logged.iter().all(|words| text.contains(words)), "{text}");
        let capped = ["somebody", "bytes", "a name", "a frame"];
        assert!(capped.iter().all(|words| !text.contains(words)), "{text}");
    }
}
