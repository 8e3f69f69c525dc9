//! What stands before a scripted upstream: a wire that can go dead, and TLS with any certificate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Upstream, tls};

/// A front, gone when dropped.
pub struct Front {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    upstream: SocketAddr,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    /// How many connections, counted from the first, are dead.
    dead: watch::Sender<usize>,
}

impl Front {
    /// Passes bytes on as they are.
    pub async fn wire(upstream: &Upstream) -> Self {
        Self::start(upstream, None).await
    }

    /// Speaks TLS with this certificate of the fixtures.
    pub async fn tls(upstream: &Upstream, certificate: &str) -> Self {
        Self::start(upstream, Some(server_config(certificate))).await
    }

    async fn start(upstream: &Upstream, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            upstream: upstream.address,
            tls: Mutex::new(tls),
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            dead: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Shows another certificate on new connections.
    pub fn show(&self, certificate: &str) {
        *self.state.tls.lock().unwrap() = Some(server_config(certificate));
    }

    /// Every connection so far stays open and carries nothing any more, in neither direction.
    pub fn go_dead(&self) {
        self.state.dead.send_replace(self.connections());
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many handshakes came to a good end.
    pub fn handshakes(&self) -> usize {
        self.state.handshakes.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn server_config(certificate: &str) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(tls::fixture(&format!("{certificate}-key"))).expect("a test key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_no_client_auth()
        .with_single_cert(vec![tls::certificate(certificate)], key);
    Arc::new(config.expect("a key of its certificate"))
}

/// Connections are children of the accepting task, so that a front that is dropped is gone.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let number = state.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, number, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, number: usize, state: Arc<State>) {
    let tls = state.tls.lock().unwrap().clone();
    let Some(tls) = tls else { return carry(stream, number, &state).await };
    if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
        state.handshakes.fetch_add(1, Ordering::Relaxed);
        carry(stream, number, &state).await;
    }
}

async fn carry(mut stream: impl AsyncRead + AsyncWrite + Unpin, number: usize, state: &State) {
    let Ok(mut upstream) = TcpStream::connect(state.upstream).await else { return };
    let mut dead = state.dead.subscribe();
    let alive = async {
        let _ = dead.wait_for(|dead| *dead > number).await;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut upstream) => return,
        () = alive => {}
    }
    // Both sides stay open, and nobody reads them.
    std::future::pending().await
}
