//! `demo`: gateway and sandbox in one process, with nothing to configure.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use tokio::net::TcpListener;

use super::serve::{bind, run_until_stopped};
use super::{block_on, fail, say};
use crate::config::{self, Config, Mistakes};
use crate::{Listeners, sandbox};

/// Ports tried one after the other where a default one is taken.
const TRIES: u16 = 20;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where callers connect [default: 127.0.0.1:8080, or the next free port].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators connect [default: 127.0.0.1:8081, or the next free port].
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Where the simulated upstream listens [default: 127.0.0.1:8090, or the next free port].
    #[arg(long, value_name = "ADDRESS")]
    sandbox_listen: Option<SocketAddr>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args.listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        return fail(
            "demo asks nobody for a key, so --listen must be a loopback address such as 127.0.0.1:8080",
        );
    }
    block_on(demo(args))
}

async fn demo(args: &Args) -> ExitCode {
    let bind_all = || {
        let public = bind_or_next(args.listen, 8080)?;
        let admin = bind_or_next(args.admin_listen, 8081)?;
        Ok::<_, String>((
            Listeners { public, admin, callbacks: None },
            bind_or_next(args.sandbox_listen, 8090)?,
        ))
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

/// The address that was asked for, else the default port or the next one that is free.
fn bind_or_next(asked: Option<SocketAddr>, default: u16) -> Result<TcpListener, String> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(address) => bind(address),
        None => (default..default + TRIES)
            .find_map(|port| bind(local(port)).ok())
            .ok_or_else(|| format!("no port from {default} to {} is free", default + TRIES - 1)),
    }
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
  Pending, final after 5 seconds: one request that waits for it:
    curl -s 'http://{public}/idv/sim-pending-5-1?view=decision' -H 'Prefer: wait=10'; echo
  An id that no region has:
    curl -s 'http://{public}/idv/sim-notfound-1'; echo
  An error of one region (without ?region= it shows as region_undetermined):
    curl -s 'http://{public}/idv/sim-error-1?region=my'; echo
  What Prometheus sees:
    curl -s 'http://{admin}/metrics'

In a browser: the status page at http://{admin}/ and the API reference at http://{admin}/docs
`idv-gateway sandbox --help` lists the ids and what each does. Stop with Ctrl-C.
"
    )
}
