//! A client that speaks TLS, and the test certificates.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{self, Answer};
use super::process::text;
use super::within;

/// A file of the test certificates.
pub fn fixture(name: &str) -> PathBuf {
    format!("{}/tests/fixtures/tls/test-only-{name}.pem", env!("CARGO_MANIFEST_DIR")).into()
}

/// The text of a file of the test certificates.
pub fn pem(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).expect("a test certificate")
}

/// The certificate in a file of the test certificates.
pub fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a test certificate")
}

/// `[server.tls]` with these of the test certificates.
pub fn section(certificate: &str, key: &str, client_ca: Option<&str>) -> String {
    let path = |name| fixture(name);
    files(text(&path(certificate)), text(&path(key)), client_ca.map(path).as_deref().map(text))
}

/// `[server.tls]` with these files.
pub fn files(certificate: &str, key: &str, client_ca: Option<&str>) -> String {
    let client_ca = client_ca.map(|path| format!("client_ca_file = \"{path}\"\n")).unwrap_or_default();
    format!("[server.tls]\ncert_file = \"{certificate}\"\nkey_file = \"{key}\"\n{client_ca}")
}

/// A client that trusts the test authority, and shows `certificate`, if any.
pub struct Client(TlsConnector);

impl Client {
    pub fn new(shows: Option<&str>) -> Self {
        Self::of(rustls::DEFAULT_VERSIONS, shows)
    }

    /// The same, of these versions of TLS.
    pub fn of(versions: &[&'static SupportedProtocolVersion], shows: Option<&str>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("authority")).expect("a test certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider knows them")
            .with_root_certificates(roots);
        let mut config = match shows {
            None => config.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(fixture(&format!("{name}-key"))).expect("a test key");
                config.with_client_auth_cert(vec![certificate(name)], key).expect("a key of its certificate")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// Connects and shakes hands.
    pub async fn open(&self, to: SocketAddr) -> io::Result<Tls> {
        within("a handshake or its end", async {
            let stream = TcpStream::connect(to).await?;
            let name = ServerName::try_from("gateway.test").expect("a host name");
            Ok(Tls { stream: self.0.connect(name, stream).await? })
        })
        .await
    }

    /// Sends one `GET` and reads the answer.
    pub async fn get(&self, to: SocketAddr, target: &str) -> io::Result<Answer> {
        self.open(to).await?.last(target).await
    }

    /// The certificate that a server shows.
    pub async fn sees(&self, at: SocketAddr) -> io::Result<CertificateDer<'static>> {
        Ok(self.open(at).await?.server_certificate())
    }
}

/// An open connection.
pub struct Tls {
    pub stream: TlsStream<TcpStream>,
}

impl Tls {
    /// The certificate that the server showed.
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        let (_, session) = self.stream.get_ref();
        let chain = session.peer_certificates().expect("a server shows its certificate");
        chain[0].clone().into_owned()
    }

    /// Whether the handshake was a full one, and resumed no session.
    pub fn is_new_session(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Full)
    }

    /// Sends one `GET`, the last on this connection, and reads the answer to the proper end of the connection.
    pub async fn last(mut self, target: &str) -> io::Result<Answer> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        within("an answer and its end", async {
            self.stream.write_all(head.as_bytes()).await?;
            let mut bytes = Vec::new();
            self.stream.read_to_end(&mut bytes).await?;
            client::parse(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        })
        .await
    }
}
