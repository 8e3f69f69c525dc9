//! Structured logs on standard output: JSON or text, never blocking an answer, capped where libraries talk too much.

use std::error::Error;
use std::io::{BufWriter, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Libraries that write requests, addresses or bytes into their debug logs. Nothing below INFO is taken from them,
/// whatever the configuration says.
const CAPPED: [&str; 8] = ["reqwest", "hyper", "hyper_util", "rustls", "h2", "tokio_rustls", "tower", "axum"];

/// Lines that may wait for a slow standard output; further ones are dropped.
const BUFFERED_LINES: usize = 16_384;

/// Lines that are written at once, in bytes. Only what waits is: an idle writer passes a line on as it comes.
const BATCH: usize = 64 * 1024;

/// How long the end waits for a slow standard output.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a terminal.
    Text,
}

/// Writes buffered lines when dropped, as far as standard output takes them in time.
#[must_use = "lines still buffered are lost when it is dropped early"]
pub struct Logs(Option<WorkerGuard>);

impl Drop for Logs {
    /// The guard is dropped by a thread of its own: it complains of a full buffer on standard output, which would never
    /// end where nobody reads that.
    fn drop(&mut self) {
        let guard = self.0.take();
        let (done, is_done) = mpsc::channel();
        let flush = move || {
            drop(guard);
            let _ = done.send(());
        };
        if thread::Builder::new().spawn(flush).is_ok() {
            let _ = is_done.recv_timeout(LAST_LINES);
        }
    }
}

/// Starts logging on standard output. `filter` is a level or `target=level,…`.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(filter: &str, format: Format) -> Result<Logs, Box<dyn Error + Send + Sync>> {
    start_to(BufWriter::with_capacity(BATCH, std::io::stdout()), filter, format)
}

/// Starts logging to any writer.
///
/// # Errors
/// As [`start`].
pub fn start_to(
    writer: impl Write + Send + 'static,
    filter: &str,
    format: Format,
) -> Result<Logs, Box<dyn Error + Send + Sync>> {
    // Audit lines have a setting of their own: a level for the rest does not silence them.
    let filter = format!("{filter},audit=info");
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(filter)?;
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).finish(writer);
    let cap =
        filter_fn(|metadata| *metadata.level() <= tracing::Level::INFO || !is_capped(metadata.target()));
    let lines = match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        Format::Text => fmt::layer().with_ansi(false).with_writer(writer).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(cap)).with(filter).try_init()?;
    Ok(Logs(Some(guard)))
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
    fn libraries_are_not_heard_below_info_whatever_the_filter_says() {
        let lines = Lines::default();
        let logs = start_to(lines.clone(), "trace,reqwest=trace,hyper=debug", Format::Json).unwrap();
        tracing::trace!(target: "idv_gateway::lookup", "ours");
        tracing::debug!(target: "reqwest::connect", "a header of somebody's");
        tracing::trace!(target: "hyper", "bytes");
        tracing::debug!(target: "rustls::client", "a name");
        tracing::debug!(target: "h2::codec", "a frame");
        tracing::warn!(target: "hyper_util::client", "a warning");
        tracing::debug!(target: "hyperbole", "no library");
        drop(logs);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let heard = ["\"ours\"", "a warning", "no library"];
        assert!(heard.iter().all(|words| text.contains(words)), "{text}");
        let capped = ["somebody", "bytes", "a name", "a frame"];
        assert!(capped.iter().all(|words| !text.contains(words)), "{text}");
    }
}
