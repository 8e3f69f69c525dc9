//! One region tried out step by step, with the parts that its requests go through: name, connection, TLS, token, clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::connections::{CONNECT_TIMEOUT, Connections};
use super::findings::{Check, Fact, Finding, Problem, Step};
use super::mint::Mint;
use crate::domain::certificate;

/// Beyond this the vendor refuses a timestamp. Source: its Token Authentication API.
const MAX_SKEW: i64 = 300;

/// Tries out a region: where results are, and where tokens are if that is another host.
pub(super) async fn diagnose(
    results: &Url,
    connections: &Connections,
    mint: &Mint,
    deadline: Instant,
) -> Vec<Check> {
    let tokens = Host::of(mint.url());
    let results = Host::of(results);
    if results == tokens {
        return tokens.try_out(connections, Some(mint), deadline).await;
    }
    let (mut checks, of_tokens) = tokio::join!(
        results.try_out(connections, None, deadline),
        tokens.try_out(connections, Some(mint), deadline)
    );
    checks.extend(of_tokens);
    checks
}

/// What is connected to.
#[derive(PartialEq, Eq)]
struct Host {
    /// A name, or an address without brackets.
    name: String,
    port: u16,
    is_https: bool,
}

impl Host {
    fn of(url: &Url) -> Self {
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_https = url.scheme() == "https";
        Self { name, port: url.port_or_known_default().unwrap_or_default(), is_https }
    }

    async fn try_out(&self, connections: &Connections, mint: Option<&Mint>, deadline: Instant) -> Vec<Check> {
        let mut trial = Trial { host: &self.name, checks: Vec::new() };
        let is_reached = self.reach(connections, &mut trial, deadline).await.is_some();
        let Some(mint) = mint else { return trial.finish(&Step::ALL[..3]) };
        if is_reached {
            trial.step(Step::Token, deadline, token(mint)).await;
            trial.skew(mint.skew());
        }
        trial.finish(&Step::ALL)
    }

    /// A connection, step by step, in the time that one may take.
    async fn reach(&self, connections: &Connections, trial: &mut Trial<'_>, deadline: Instant) -> Option<()> {
        let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT);
        let addresses = trial.step(Step::Dns, deadline, self.addresses(connections)).await?;
        let stream = trial.step(Step::Connect, deadline, self.connect(&addresses)).await?;
        trial.step(Step::Tls, deadline, self.secure(connections, stream)).await
    }

    async fn addresses(&self, connections: &Connections) -> Result<(Fact, Vec<IpAddr>), Problem> {
        if let Ok(address) = self.name.parse() {
            return Ok((Fact::IsAddress, vec![address]));
        }
        match connections.addresses(&self.name).await {
            Ok(found) => {
                let addresses: Vec<_> = found.iter().map(SocketAddr::ip).collect();
                Ok((Fact::Addresses(addresses.clone()), addresses))
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Problem::Silence),
            Err(error) => Err(Problem::NoAddress(error.to_string())),
        }
    }

    /// One address after the other, each with its share of the time.
    async fn connect(&self, addresses: &[IpAddr]) -> Result<(Fact, TcpStream), Problem> {
        let share = CONNECT_TIMEOUT / addresses.len().try_into().unwrap_or(u32::MAX).max(1);
        let mut problem = Problem::Silence;
        for address in addresses {
            let address = SocketAddr::new(*address, self.port);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((Fact::Connected(address), stream)),
                Ok(Err(error)) => problem = Problem::NotConnected(error.kind()),
                Err(_) => problem = Problem::Silence,
            }
        }
        Err(problem)
    }

    async fn secure(&self, connections: &Connections, stream: TcpStream) -> Result<(Fact, ()), Problem> {
        if !self.is_https {
            return Ok((Fact::PlainHttp, ()));
        }
        let name = ServerName::try_from(self.name.clone()).map_err(|_| Problem::WrongName)?;
        let connector = TlsConnector::from(Arc::new(connections.tls().clone()));
        let stream = connector.connect(name, stream).await.map_err(|error| Problem::of_handshake(&error))?;
        let (_, session) = stream.get_ref();
        let is_newest = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let ends = certificate.and_then(|certificate| certificate::not_after(certificate));
        let days = ends.map(|ends| ends.duration_since(Timestamp::now()).as_hours() / 24);
        Ok((Fact::Secured(if is_newest { "TLS 1.3" } else { "TLS 1.2" }, days), ()))
    }
}

/// The checks of one host so far.
struct Trial<'h> {
    host: &'h str,
    checks: Vec<Check>,
}

impl Trial<'_> {
    /// Makes one check. `None`: it failed, or did not end by `deadline`.
    async fn step<T>(
        &mut self,
        step: Step,
        deadline: Instant,
        check: impl Future<Output = Result<(Fact, T), Problem>>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = timeout_at(deadline, check).await.unwrap_or(Err(Problem::Silence));
        let (finding, value) = match result {
            Ok((fact, value)) => (Finding::Good(fact), Some(value)),
            Err(problem) => (Finding::Bad(problem), None),
        };
        self.note(step, started.elapsed(), finding);
        value
    }

    /// Judges the clock, if the token endpoint answered at all.
    fn skew(&mut self, skew: Option<i64>) {
        let has_token =
            self.checks.iter().any(|check| matches!(check.finding, Finding::Good(Fact::Token(_))));
        let finding = match skew {
            Some(skew) if skew.abs() > MAX_SKEW => Finding::Bad(Problem::Skew(skew)),
            Some(skew) => Finding::Good(Fact::Skew(skew)),
            None if has_token => Finding::Good(Fact::NoClock),
            None => Finding::NotTried,
        };
        self.note(Step::Skew, Duration::ZERO, finding);
    }

    /// The checks, with those of `steps` that were not come to.
    fn finish(mut self, steps: &[Step]) -> Vec<Check> {
        for step in &steps[self.checks.len()..] {
            self.note(*step, Duration::ZERO, Finding::NotTried);
        }
        self.checks
    }

    fn note(&mut self, step: Step, took: Duration, finding: Finding) {
        self.checks.push(Check { step, host: self.host.to_owned(), took, finding });
    }
}

async fn token(mint: &Mint) -> Result<(Fact, ()), Problem> {
    match mint.try_out().await {
        Ok(life) => Ok((Fact::Token(life), ())),
        Err(refusal) => Err(Problem::of_refusal(&refusal)),
    }
}
