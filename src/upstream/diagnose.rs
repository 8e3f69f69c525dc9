//! One region tried out step by step, with the parts that its requests use: name, connection, TLS, token, clock.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Uri;
use jiff::Timestamp;
use rustls::ProtocolVersion;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::findings::{Check, Fact, Finding, Problem, Step};
use super::token_client::TokenClient;
use crate::domain::certificate;
use crate::net::{CONNECT_TIMEOUT, Connector, Host, dial};

/// Beyond this the vendor refuses a timestamp. Source: its Token Authentication API.
const MAX_SKEW: i64 = 300;

/// Tries out a region: where results are, and where tokens are if that is another host.
pub(super) async fn diagnose(
    results: &Uri,
    connector: &Connector,
    client: &TokenClient,
    deadline: Instant,
) -> Vec<Check> {
    let (results, tokens) = (Host::of(results), Host::of(&client.uri));
    if results == tokens {
        return try_out(&tokens, connector, Some(client), deadline).await;
    }
    let (mut checks, of_tokens) = tokio::join!(
        try_out(&results, connector, None, deadline),
        try_out(&tokens, connector, Some(client), deadline)
    );
    checks.extend(of_tokens);
    checks
}

async fn try_out(
    host: &Host,
    connector: &Connector,
    client: Option<&TokenClient>,
    deadline: Instant,
) -> Vec<Check> {
    let mut trial = Trial { host, checks: Vec::new() };
    let is_reached = trial.reach(connector, deadline).await.is_some();
    let Some(client) = client else { return trial.finish(&Step::ALL[..3]) };
    if is_reached {
        trial.step(Step::Token, deadline, token(client)).await;
        trial.skew(client.skew());
    }
    trial.finish(&Step::ALL)
}

async fn addresses(host: &Host, connector: &Connector) -> Result<(Fact, Vec<SocketAddr>), Problem> {
    match connector.addresses(host).await {
        Ok(found) if host.is_address() => Ok((Fact::IsAddress, found)),
        Ok(found) => Ok((Fact::Addresses(found.iter().map(SocketAddr::ip).collect()), found)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Problem::Silence),
        Err(error) => Err(Problem::NoAddress(error.to_string())),
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<(Fact, TcpStream), Problem> {
    let connected = async {
        let stream = dial(addresses).await?;
        Ok((Fact::Connected(stream.peer_addr()?), stream))
    };
    connected.await.map_err(|error: io::Error| {
        let is_silent = error.kind() == io::ErrorKind::TimedOut;
        if is_silent { Problem::Silence } else { Problem::NotConnected(error.kind()) }
    })
}

async fn secure(host: &Host, connector: &Connector, stream: TcpStream) -> Result<(Fact, ()), Problem> {
    if !host.is_https {
        return Ok((Fact::PlainHttp, ()));
    }
    let secured = connector.secure(host, stream).await;
    let stream = secured.map_err(|error| Problem::of_handshake(&error))?;
    let (_, session) = stream.get_ref();
    let is_newest = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let ends = certificate.and_then(|certificate| certificate::not_after(certificate));
    let days = ends.map(|ends| ends.duration_since(Timestamp::now()).as_hours() / 24);
    Ok((Fact::Secured(if is_newest { "TLS 1.3" } else { "TLS 1.2" }, days), ()))
}

async fn token(client: &TokenClient) -> Result<(Fact, ()), Problem> {
    match client.try_out().await {
        Ok(life) => Ok((Fact::Token(life), ())),
        Err(refusal) => Err(Problem::of_refusal(&refusal)),
    }
}

/// The checks of one host so far.
struct Trial<'h> {
    host: &'h Host,
    checks: Vec<Check>,
}

impl Trial<'_> {
    /// A connection, step by step, in the time that one may take.
    async fn reach(&mut self, connector: &Connector, deadline: Instant) -> Option<()> {
        let host = self.host;
        let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT);
        let addresses = self.step(Step::Dns, deadline, addresses(host, connector)).await?;
        let stream = self.step(Step::Connect, deadline, connect(&addresses)).await?;
        self.step(Step::Tls, deadline, secure(host, connector, stream)).await
    }

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
        self.checks.push(Check { step, host: self.host.name.clone(), took, finding });
    }
}
