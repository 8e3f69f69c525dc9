//! Checks of one region, step by step, with the parts that its requests use: name, connection, TLS, token, clock.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use rustls::CertificateError as Certificate;
use rustls::ProtocolVersion;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::envelope::{AuthHint, Refusal};
use super::token_client::TokenClient;
use crate::domain::certificate;
use crate::domain::failure::Kind;
use crate::net::{CONNECT_TIMEOUT, Check, Connector, Endpoint, Finding, Host, Problem, Trial, dial};

/// In this order. Each needs the one before it, except the clock, which a refusal shows too.
const STEPS: [&str; 5] = ["dns", "connect", "tls", "token", "skew"];
/// Beyond this the vendor refuses a timestamp, in seconds. Source: its Token Authentication API.
const MAX_SKEW: i64 = 300;
/// From here a clock should be corrected.
const WORRYING_SKEW: i64 = 30;
/// From here a certificate should have been renewed.
const WORRYING_DAYS: i64 = 7;
/// Addresses of a name that are written out.
const SHOWN_ADDRESSES: usize = 3;

/// The account that tokens are asked for with.
struct Account<'a> {
    client: &'a TokenClient,
    /// The keys of the configuration that hold its access key and its secret key.
    keys: [&'static str; 2],
}

/// Checks a region: where results are, and where tokens are if that is another host. The configuration holds the
/// access key and the secret key under `keys`.
pub(super) async fn diagnose(
    results: &Endpoint,
    (client, keys): (&TokenClient, [&'static str; 2]),
    deadline: Instant,
) -> Vec<Check> {
    let tokens = &client.endpoint;
    let account = Some(Account { client, keys });
    if results.host == tokens.host {
        return try_out(tokens, account, deadline).await;
    }
    let (mut checks, of_tokens) =
        tokio::join!(try_out(results, None, deadline), try_out(tokens, account, deadline));
    checks.extend(of_tokens);
    checks
}

async fn try_out(endpoint: &Endpoint, account: Option<Account<'_>>, deadline: Instant) -> Vec<Check> {
    let Endpoint { host, connector, .. } = endpoint;
    let mut trial = Trial::until(deadline.min(Instant::now() + CONNECT_TIMEOUT));
    let is_reached = reach(&mut trial, host, connector).await.is_some();
    let Some(account) = account else { return trial.finish(&STEPS[..3]) };
    if is_reached {
        trial.deadline = deadline;
        let advice = "try again with a longer --timeout; if it stays so, ask the vendor";
        let silence = Problem::new("no answer in time", advice);
        let token = trial.step("token", silence, token(host, &account)).await;
        trial.note("skew", skew(account.client.skew(), token.is_some()));
    }
    trial.finish(&STEPS)
}

/// A connection, step by step.
async fn reach(trial: &mut Trial, host: &Host, connector: &Connector) -> Option<()> {
    let addresses = trial.step("dns", no_name_server(host), addresses(host, connector)).await?;
    let stream = trial.step("connect", no_answer(host), connect(host, &addresses)).await?;
    trial.step("tls", no_answer(host), secure(host, connector, stream)).await
}

async fn addresses(host: &Host, connector: &Connector) -> Result<(Finding, Vec<SocketAddr>), Problem> {
    let name = &host.name;
    match connector.addresses(host).await {
        Ok(found) if host.is_address() => Ok((Finding::Good(format!("{name} is an address")), found)),
        Ok(found) => Ok((Finding::Good(format!("{name} is {}", list(&found))), found)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(no_name_server(host)),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.trim_start_matches("failed to lookup address information: ");
            let advice = format!("check the name; `getent hosts {name}` asks as the gateway does");
            Err(Problem::new(format!("{name}: {reason}"), advice))
        }
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    let shown = addresses.iter().take(SHOWN_ADDRESSES).map(|address| address.ip().to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    match addresses.len().saturating_sub(SHOWN_ADDRESSES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

async fn connect(host: &Host, addresses: &[SocketAddr]) -> Result<(Finding, TcpStream), Problem> {
    let connected = async {
        let stream = dial(addresses).await?;
        Ok((Finding::Good(stream.peer_addr()?.to_string()), stream))
    };
    connected.await.map_err(|error: io::Error| {
        let mut advice = let_out(host);
        if error.kind() == io::ErrorKind::TimedOut {
            return no_answer(host);
        }
        if error.kind() == io::ErrorKind::ConnectionRefused {
            advice = format!("check host and port of the URL; if they are right, {advice}");
        }
        Problem::new(error.kind().to_string(), advice)
    })
}

async fn secure(host: &Host, connector: &Connector, stream: TcpStream) -> Result<(Finding, ()), Problem> {
    if !host.is_https {
        return Ok((Finding::Good("plain http, as allow_http says".to_owned()), ()));
    }
    let secured = connector.secure(host, stream).await;
    let stream = secured.map_err(|error| no_handshake(&error, host))?;
    let (_, session) = stream.get_ref();
    let is_newest = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let version = if is_newest { "TLS 1.3" } else { "TLS 1.2" };
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let ends = certificate.and_then(|certificate| certificate::not_after(certificate));
    let Some(ends) = ends else { return Ok((Finding::Good(version.to_owned()), ())) };
    let days = ends.duration_since(Timestamp::now()).as_hours() / 24;
    let found = format!("{version}, certificate good for {days} d");
    if days < WORRYING_DAYS {
        let advice = format!("ask who runs {} to renew its certificate", host.name);
        return Ok((Finding::Worrying(Problem::new(found, advice)), ()));
    }
    Ok((Finding::Good(found), ()))
}

async fn token(host: &Host, account: &Account<'_>) -> Result<(Finding, ()), Problem> {
    match account.client.try_out().await.as_ref().map(Duration::as_secs) {
        Ok(life) if life < 120 => Ok((Finding::Good(format!("good for {life} s")), ())),
        Ok(life) => Ok((Finding::Good(format!("good for {} min", (life + 30) / 60)), ())),
        Err(refusal) => Err(no_token(refusal, host, account.keys)),
    }
}

/// Judges the clock, if the token endpoint answered at all. `skew` is the upstream's clock minus ours.
fn skew(skew: Option<i64>, has_token: bool) -> Finding {
    let Some(skew) = skew else {
        return Finding::Unknown(if has_token {
            "unknown: the upstream does not tell the time"
        } else {
            "not tried"
        });
    };
    let clocks = match skew {
        -1..=1 => "the clocks agree".to_owned(),
        2.. => format!("our clock is {skew} s behind"),
        _ => format!("our clock is {} s ahead", skew.unsigned_abs()),
    };
    if skew.abs() > MAX_SKEW {
        let advice = "set this machine's clock; the vendor refuses more than 300 s";
        Finding::Bad(Problem::new(clocks, advice))
    } else if skew.abs() > WORRYING_SKEW {
        Finding::Worrying(Problem::new(clocks, "set this machine's clock, before it is 300 s off"))
    } else {
        Finding::Good(clocks)
    }
}

fn let_out(host: &Host) -> String {
    format!("let traffic out to {} (firewall, network policy); no proxy is used", host.name)
}

fn no_name_server(host: &Host) -> Problem {
    Problem::new(format!("{}: no name server answers", host.name), "let this machine reach its name servers")
}

fn no_answer(host: &Host) -> Problem {
    Problem::new("no answer in time", let_out(host))
}

fn broken() -> Problem {
    Problem::new("the connection broke", "look for a firewall or proxy that cuts connections")
}

/// Why a handshake failed. Decided by type, never by text.
fn no_handshake(error: &io::Error, host: &Host) -> Problem {
    let name = &host.name;
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return broken();
    };
    let rustls::Error::InvalidCertificate(reason) = error else {
        let advice = "check scheme and port of the URL, and what stands before the host";
        return Problem::new("no TLS 1.2 or 1.3 there", advice);
    };
    if matches!(reason, Certificate::Expired | Certificate::ExpiredContext { .. }) {
        let advice = format!("check this machine's clock; if it is right, tell who runs {name}");
        Problem::new("the certificate has expired", advice)
    } else if matches!(reason, Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) {
        let advice = "check the URL, and who answers for it: a proxy, or a wrong DNS record";
        Problem::new(format!("the certificate is not for {name}"), advice)
    } else if matches!(reason, Certificate::UnknownIssuer) {
        let advice = "trust a proxy's or sandbox's authority by ca_file; never an unknown one";
        Problem::new("the certificate is of an unknown authority", advice)
    } else {
        Problem::new("the certificate is not valid", format!("tell who runs {name}"))
    }
}

/// Why there is no token.
fn no_token(refusal: &Refusal, host: &Host, [access, secret]: [&str; 2]) -> Problem {
    let said = refusal.fault.said.as_ref();
    let with_code = |what: &str| match said.and_then(|said| said.code) {
        Some(code) => format!("{what}: {code}"),
        None => what.to_owned(),
    };
    let strange = || {
        let advice = "check token_url (else base_url), and that no proxy answers for it; if both are right, ask the vendor";
        Problem::new("an answer, but not from a token endpoint", advice)
    };
    match refusal.fault.kind {
        Kind::Auth | Kind::Refused | Kind::NotFound => match refusal.hint {
            Some(AuthHint::Timestamp) => Problem::new("timestamp refused", "set this machine's clock"),
            Some(AuthHint::Signature) => {
                Problem::new("signature refused", format!("check {secret}: it does not go with {access}"))
            }
            None => {
                let advice = format!("check {access}, and that the account may use {}", host.name);
                Problem::new(with_code("refused"), advice)
            }
        },
        Kind::Account => Problem::new(
            with_code("account refused"),
            "ask the vendor about balance, quota and state of the account",
        ),
        Kind::Busy => Problem::new("the upstream is busy", "wait a minute and try again"),
        // Without a code of the vendor's, anything may have failed there.
        Kind::Server if said.is_none() => strange(),
        Kind::Server => {
            Problem::new("the upstream says that it failed", "try again; if it stays so, ask the vendor")
        }
        Kind::Timeout | Kind::Deadline => Problem::new(
            "no answer in time",
            "try again with a longer --timeout; if it stays so, ask the vendor",
        ),
        Kind::Dns | Kind::Connect | Kind::Tls | Kind::Reset | Kind::Truncated => broken(),
        Kind::Malformed | Kind::IdMismatch | Kind::Unavailable | Kind::Overloaded | Kind::Internal => {
            strange()
        }
    }
}
