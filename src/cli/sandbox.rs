//! `sandbox`: the simulated upstream alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::serve::bind;
use super::signals::StopSignals;
use super::{block_on, fail, say};
use crate::sandbox;

#[derive(clap::Args)]
#[command(after_help = ids())]
pub(super) struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
}

pub(super) fn run(args: &Args) -> ExitCode {
    block_on(serve(args.listen))
}

async fn serve(address: SocketAddr) -> ExitCode {
    let (listener, mut signals) = match (bind(address), StopSignals::new()) {
        (Ok(listener), Ok(signals)) => (listener, signals),
        (Err(why), _) => return fail(why),
        (_, Err(error)) => return fail(format_args!("cannot listen for signals: {error}")),
    };
    let address = listener.local_addr().unwrap_or(address);
    say(format_args!(
        "sandbox at http://{address}/<region> for the regions {}; access key {}, secret key {}",
        sandbox::REGIONS.join(", "),
        sandbox::ACCESS_KEY,
        sandbox::SECRET_KEY,
    ));
    match sandbox::run(listener, async move { signals.next().await }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the sandbox stopped: {error}")),
    }
}

const BY_THE_WAY: &str = "\
A gateway that is told busy pauses the whole region, for 10 s: every id of it that is not cached is answered
as busy. With several regions, an error of one shows as region_undetermined unless ?region= is given.";

/// The table of ids for `--help`.
fn ids() -> String {
    let width = sandbox::IDS.iter().map(|(id, _)| id.len()).max().unwrap_or_default();
    let rows = sandbox::IDS.iter().map(|(id, meaning)| format!("  {id:width$}  {meaning}"));
    format!("Ids that say what they do:\n{}\n\n{BY_THE_WAY}", rows.collect::<Vec<_>>().join("\n"))
}
