//! `serve`: the gateway, from a configuration file.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

use super::terminal::{ConfigFile, Outcome, StopSignals, bad_config, block_on};
use crate::config::{self, Config};
use crate::telemetry::logs;
use crate::{Ended, Listeners};

/// New connections that wait for us in the kernel's queue. Past it their first packets are dropped and sent again only
/// after a second: a burst of callers must fit. The kernel lowers it to its own bound.
const BACKLOG: u32 = 4096;

pub(super) fn run(file: &ConfigFile) -> Outcome {
    let mut config = config::load(&file.path).map_err(bad_config)?;
    block_on(async {
        let listeners = Listeners {
            public: bind_in_place(&mut config.server.listen)?,
            admin: bind_in_place(&mut config.server.admin_listen)?,
            callbacks: config
                .callbacks
                .as_mut()
                .map(|callbacks| bind_in_place(&mut callbacks.listen))
                .transpose()?,
        };
        run_until_stopped(listeners, &config).await
    })
}

/// Opens one listener. What the system chose for port 0 is the address from then on, in the log and at `/config`.
fn bind_in_place(address: &mut SocketAddr) -> Result<TcpListener, String> {
    let listener = bind(*address)?;
    *address = listener.local_addr().unwrap_or(*address);
    Ok(listener)
}

/// Opens one listener.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    open(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A gateway that is restarted must not wait for the connections of the one before it to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Runs a gateway until a signal, and at a second one stops at once.
pub(super) async fn run_until_stopped(listeners: Listeners, config: &Config) -> Outcome {
    let _logs = logs::start(io::stdout(), &config.telemetry.log, config.telemetry.log_format)
        .map_err(|error| format!("cannot start logging: {error}"))?;
    logs::hide_panic_payloads();
    let mut signals = StopSignals::new()?;
    let (stop, stopped) = oneshot::channel();
    let gateway = crate::run(listeners, config, async {
        let _ = stopped.await;
    });
    let second_signal = async {
        signals.next().await;
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        ended = gateway => match ended {
            Ok(Ended::Drained) => Ok(ExitCode::SUCCESS),
            Ok(Ended::CutShort) => Ok(ExitCode::FAILURE),
            Err(error) => Err(bad_config(format_args!("cannot start: {error}"))),
        },
        () = second_signal => Ok(ExitCode::FAILURE),
    }
}
