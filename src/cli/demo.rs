//! `demo`: gateway and sandbox in one process, with nothing to configure.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::net::TcpListener;

use super::serve::{bind, run_until_stopped};
use super::terminal::{Outcome, address, block_on, say};
use crate::config::{self, Config, Mistakes};
use crate::{Listeners, sandbox};

/// Ports tried one after the other where a default one is taken.
const TRIES: u16 = 20;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where callers connect [default: 127.0.0.1:8080, or the next free port].
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Where operators connect [default: 127.0.0.1:8081, or the next free port].
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    admin_listen: Option<SocketAddr>,
    /// Where the simulated upstream listens [default: 127.0.0.1:8090, or the next free port].
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    sandbox_listen: Option<SocketAddr>,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        let why = "demo asks nobody for a key, so --listen must be a loopback address such as 127.0.0.1:8080";
        return Err(why.into());
    }
    block_on(demo(args))
}

async fn demo(args: &Args) -> Outcome {
    let bound = bind_all(args);
    let (public, admin, callbacks, upstream) = bound
        .map_err(|why| format!("{why}\n--listen, --admin-listen and --sandbox-listen choose other ports"))?;
    let addresses = Addresses {
        public: public.local_addr()?,
        admin: admin.local_addr()?,
        callbacks: callbacks.local_addr()?,
        sandbox: upstream.local_addr()?,
    };
    let listeners = Listeners { public, admin, callbacks: Some(callbacks) };
    let keys = KeyFile::create().map_err(|error| format!("cannot write a key for callbacks: {error}"))?;
    let config = configuration(&addresses, &keys)?;
    let callback_url =
        format!("http://{}/callbacks/{{region}}?key={}", addresses.callbacks, keys.key).parse();
    let sandbox = tokio::spawn(sandbox::run(upstream, callback_url.ok(), std::future::pending()));
    say(what_to_try(&addresses))?;
    let outcome = run_until_stopped(listeners, &config).await;
    sandbox.abort();
    outcome
}

/// Listeners for callers, operators, callbacks and requests to the sandbox.
fn bind_all(args: &Args) -> Result<(TcpListener, TcpListener, TcpListener, TcpListener), String> {
    let public = bind_or_next(args.listen, 8080)?;
    let admin = bind_or_next(args.admin_listen, 8081)?;
    // Only the sandbox calls it, so any port will do.
    let callbacks = bind(local(0))?;
    Ok((public, admin, callbacks, bind_or_next(args.sandbox_listen, 8090)?))
}

/// Where the parts of a demo listen.
struct Addresses {
    public: SocketAddr,
    admin: SocketAddr,
    callbacks: SocketAddr,
    sandbox: SocketAddr,
}

/// The key of this demo's callbacks, in a file that is removed at the end.
struct KeyFile {
    key: String,
    path: PathBuf,
}

impl KeyFile {
    fn create() -> io::Result<Self> {
        let key = format!("{:032x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(format!("idv-gateway-demo-{:016x}", rand::random::<u64>()));
        fs::File::create_new(&path)?.write_all(key.as_bytes())?;
        Ok(Self { key, path })
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Listens on the given address, else on the default port or the next free one.
fn bind_or_next(asked: Option<SocketAddr>, default: u16) -> Result<TcpListener, String> {
    match asked {
        Some(address) => bind(address),
        None => (default..default + TRIES)
            .find_map(|port| bind(local(port)).ok())
            .ok_or_else(|| format!("no port from {default} to {} is free", default + TRIES - 1)),
    }
}

/// Three regions of the sandbox; callers need no key, and a demo stops at once.
fn configuration(addresses: &Addresses, keys: &KeyFile) -> Result<Config, Mistakes> {
    let Addresses { public, admin, callbacks, sandbox } = addresses;
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
         [drain]\ndelay = \"0s\"\n[telemetry]\nlog_format = \"text\"\n\
         [callbacks]\nlisten = \"{callbacks}\"\nkey_file = {:?}\n{regions}",
        keys.path
    );
    config::parse("demo", &text, &[])
}

fn what_to_try(addresses: &Addresses) -> String {
    let Addresses { public, admin, sandbox, .. } = addresses;
    format!(
        "\
idv-gateway demo: callers at http://{public}, operators at http://{admin}, simulated upstream at http://{sandbox}

  A pass (the vendor's own sample id):
    curl -s 'http://{public}/idv/f302f5d2454a85c2?view=decision'; echo
  The same with every part of it:
    curl -s 'http://{public}/idv/f302f5d2454a85c2'; echo
  A failure, with its reason:
    curl -s 'http://{public}/idv/sim-fail-liveness-1?view=decision'; echo
  Pending, final after 5 seconds. One request that waits, answered at 5 s, when the upstream calls back:
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
