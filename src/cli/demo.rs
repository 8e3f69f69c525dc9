//! `demo`: gateway and sandbox in one process, with nothing to configure.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::serve::{bind, listen, run_until_stopped};
use super::{block_on, fail, say};
use crate::config::{self, Config, Mistakes};
use crate::sandbox;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where callers come.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where operators come.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    admin_listen: SocketAddr,
    /// Where the simulated upstream is.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    sandbox_listen: SocketAddr,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if !args.listen.ip().is_loopback() {
        return fail(
            "demo asks nobody for a key, so --listen must be a loopback address such as 127.0.0.1:8080",
        );
    }
    block_on(demo(args))
}

async fn demo(args: &Args) -> ExitCode {
    let bind_all = || {
        let listeners = listen(args.listen, args.admin_listen)?;
        Ok::<_, String>((listeners, bind(args.sandbox_listen)?))
    };
    let (listeners, upstream) = match bind_all() {
        Ok(bound) => bound,
        Err(why) => {
            return fail(format_args!(
                "{why}\n--listen, --admin-listen and --sandbox-listen choose other ports"
            ));
        }
    };
    let addresses = (listeners.public.local_addr(), listeners.admin.local_addr(), upstream.local_addr());
    let (Ok(public), Ok(admin), Ok(simulated)) = addresses else {
        return fail("the listeners have no addresses");
    };
    let sandbox = tokio::spawn(sandbox::run(upstream, std::future::pending()));
    say(what_to_try(public, admin, simulated));
    let code = match configuration(public, admin, simulated) {
        Ok(config) => run_until_stopped(listeners, &config).await,
        Err(mistakes) => fail(mistakes),
    };
    sandbox.abort();
    code
}

/// Three regions of the sandbox; callers need no key, and who stops a demo wants the terminal back.
fn configuration(public: SocketAddr, admin: SocketAddr, sandbox: SocketAddr) -> Result<Config, Mistakes> {
    let (access_key, secret_key) = (sandbox::ACCESS_KEY, sandbox::SECRET_KEY);
    let region = |name| {
        format!(
            "[[regions]]\nname = \"{name}\"\nbase_url = \"http://{sandbox}/{name}\"\nallow_http = true\n\
             access_key = \"{access_key}\"\nsecret_key = \"{secret_key}\"\n"
        )
    };
    let regions = ["my", "ph", "sg"].map(region).concat();
    let text = format!(
        "[server]\nlisten = \"{public}\"\nadmin_listen = \"{admin}\"\n[auth]\nmode = \"none\"\n\
         [drain]\ndelay = \"0s\"\n[telemetry]\nlog_format = \"text\"\n{regions}"
    );
    config::parse("demo", &text, &[])
}

fn what_to_try(public: SocketAddr, admin: SocketAddr, sandbox: SocketAddr) -> String {
    format!(
        "\
idv-gateway demo: callers at http://{public}, operators at http://{admin}, simulated upstream at http://{sandbox}

  A pass (the vendor's own sample id):
    curl -s 'http://{public}/idv/f302f5d2454a85c2?view=decision'; echo
  The same with every part of it:
    curl -s 'http://{public}/idv/f302f5d2454a85c2'; echo
  A failure, with its reason:
    curl -s 'http://{public}/idv/sim-fail-liveness-1?view=decision'; echo
  Pending, final after 5 seconds (ask twice):
    curl -s 'http://{public}/idv/sim-pending-5-1?view=decision'; echo
  An id that no region has:
    curl -s 'http://{public}/idv/sim-notfound-1'; echo
  An error of one region (without ?region= it shows as region_undetermined):
    curl -s 'http://{public}/idv/sim-error-1?region=my'; echo
  What Prometheus sees:
    curl -s 'http://{admin}/metrics'

In a browser: the status page at http://{admin}/ and the API reference at http://{admin}/docs
`idv-gateway sandbox --help` lists the ids that say what they do. Stop with Ctrl-C.
"
    )
}
