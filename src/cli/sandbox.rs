//! `sandbox`: the simulated upstream alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::serve::bind;
use super::terminal::{Outcome, StopSignals, address, block_on, say};
use crate::sandbox::{self, CallbackUrl};

#[derive(clap::Args)]
#[command(after_help = ids())]
pub(super) struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where to send callbacks; {region} stands for the region's name.
    #[arg(long, value_name = "URL")]
    callback_url: Option<CallbackUrl>,
}

pub(super) fn run(args: &Args) -> Outcome {
    block_on(serve(args.listen, args.callback_url.clone()))
}

async fn serve(address: SocketAddr, callback_url: Option<CallbackUrl>) -> Outcome {
    let (listener, mut signals) = (bind(address)?, StopSignals::new()?);
    let address = listener.local_addr().unwrap_or(address);
    say(format_args!(
        "sandbox at http://{address}/<region> for the regions {}; access key {}, secret key {}",
        sandbox::REGIONS.join(", "),
        sandbox::ACCESS_KEY,
        sandbox::SECRET_KEY,
    ))?;
    sandbox::run(listener, callback_url, signals.next()).await;
    Ok(ExitCode::SUCCESS)
}

const NOTES: &str = "\
SERVICE_BUSY pauses the whole region for 10 s: every id of it that is not cached is answered as busy. After a
few refused tokens (sim-auth-…) a region's refreshes are limited. With several regions, an error of one shows
as region_undetermined unless ?region= is given.

A pending id calls back if --callback-url is given: SUBMIT_COMPLETED after half of N seconds, COMPLETED after N.
For a gateway whose [callbacks] listen on 127.0.0.1:8082:

  idv-gateway sandbox --callback-url 'http://127.0.0.1:8082/callbacks/{region}?key=<one of its keys>'

Faults on demand, for your own tests: PUT /_sandbox/faults sets them, DELETE clears them, GET /_sandbox/hits
counts the calls. This one makes the next two results of region my busy:

  curl -X PUT http://127.0.0.1:8090/_sandbox/faults -d '{\"region\":\"my\",\"endpoint\":\"get_result\",
    \"times\":2,\"fault\":{\"code\":\"SERVICE_BUSY\",\"retry_after\":\"10s\"}}'

region, endpoint (token, get_result), signature_id and times may be left out. A fault has any of delay_ms,
revoke_tokens, code with message, body, status, retry_after, hang and reset.";

/// The table of ids for `--help`.
fn ids() -> String {
    let ids = sandbox::ids();
    let width = ids.iter().map(|(id, _)| id.len()).max().unwrap_or_default();
    let rows = ids.iter().map(|(id, meaning)| format!("  {id:width$}  {meaning}"));
    format!("Ids that say what they do:\n{}\n\n{NOTES}", rows.collect::<Vec<_>>().join("\n"))
}
