//! `doctor`: every region and the second tier tried out as the gateway would use them, in a table, with what to do about
//! each failure.
//!
//! Everything shown is in our words: no secret, no token, no text of the upstream.

use std::fmt::{Display, Write};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::terminal::{Failed, Outcome, block_on, say};
use super::{check_config, second_tier};
use crate::config::{Config, Region, Secret};
use crate::{Check, Fact, Finding, Problem, RemoteCheck, Step};

/// The exit code for a command line that makes no sense, as the parser of it gives.
const EX_USAGE: u8 = 2;
/// From here a clock should be looked after. The vendor's limit is 300 s.
const WORRYING_SKEW: i64 = 30;
/// From here a certificate should have been renewed.
const WORRYING_DAYS: i64 = 7;
/// Columns of a terminal that advice is broken for.
const COLUMNS: usize = 80;
/// Addresses of a name that are written out.
const SHOWN_ADDRESSES: usize = 3;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The TOML file; IDV__SECTION__KEY variables override what it says.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Try this region alone.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// What the whole may take. All regions are tried at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    timeout: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut config = check_config::load(&args.config)?;
    if let Some(name) = &args.region {
        keep_region(&mut config, name).map_err(|why| Failed { why, code: EX_USAGE })?;
    }
    if args.region.is_some() {
        config.remote = None;
    }
    let limit = Duration::from_secs(args.timeout);
    block_on(async {
        let (found, remote) =
            tokio::try_join!(crate::diagnose(&config, limit), crate::diagnose_remote(&config, limit))?;
        report(&config.regions.iter().zip(&found).collect::<Vec<_>>(), &remote)
    })
}

/// Tells what was found.
fn report(regions: &[(&Region, &Vec<Check>)], remote: &[RemoteCheck]) -> Outcome {
    say(table(regions, remote));
    let mut advice = advice(regions);
    advice.extend(second_tier::advice(remote).iter().map(|advice| wrapped(advice)));
    if !advice.is_empty() {
        say(format_args!("\n{}", advice.join("\n")));
    }
    match regions.iter().filter(|(_, checks)| checks.iter().any(is_failure)).count() {
        0 if second_tier::has_failed(remote) => Err("the second tier failed".into()),
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(format!("regions that failed: {failed} of {}", regions.len()).into()),
    }
}

fn keep_region(config: &mut Config, name: &str) -> Result<(), String> {
    let known: Vec<_> = config.regions.iter().map(|region| region.name.to_string()).collect();
    config.regions.retain(|region| region.name.as_str() == name);
    if config.regions.is_empty() {
        return Err(format!("--region: no such region; the configuration has {}", known.join(", ")));
    }
    Ok(())
}

fn is_failure(check: &Check) -> bool {
    matches!(check.finding, Finding::Bad(_))
}

fn table(regions: &[(&Region, &Vec<Check>)], remote: &[RemoteCheck]) -> String {
    let names = regions.iter().map(|(region, _)| region.name.as_str());
    let width = names.chain(["region"]).map(str::len).max().unwrap_or_default();
    let mut table = format!("{:width$}  check    result     time  detail", "region");
    for (region, checks) in regions {
        for (index, check) in checks.iter().enumerate() {
            let name = if index == 0 { region.name.as_str() } else { "" };
            let (step, result, took, detail) =
                (<&str>::from(check.step), result(check), took(check), detail(check));
            // Writing to a string does not fail.
            let _ = write!(table, "\n{name:width$}  {step:7}  {result:6}  {took:>7}  {detail}");
        }
    }
    table + &second_tier::rows(remote, width)
}

fn result(check: &Check) -> &'static str {
    match &check.finding {
        Finding::Good(fact) if worry(fact, &check.host).is_some() => "warn",
        Finding::Good(Fact::NoClock) | Finding::NotTried => "-",
        Finding::Good(_) => "ok",
        Finding::Bad(_) => "FAILED",
    }
}

fn took(check: &Check) -> String {
    let is_idle =
        matches!(check.finding, Finding::NotTried | Finding::Good(Fact::IsAddress | Fact::PlainHttp));
    let is_timed = check.step != Step::Skew && !is_idle;
    if is_timed { format!("{} ms", check.took.as_millis()) } else { String::new() }
}

fn detail(check: &Check) -> String {
    let host = &check.host;
    match &check.finding {
        Finding::NotTried => "not tried".to_owned(),
        Finding::Bad(problem) => what_failed(problem, check),
        Finding::Good(fact) => match fact {
            Fact::IsAddress => format!("{host} is an address"),
            Fact::Addresses(addresses) => format!("{host} is {}", list(addresses)),
            Fact::Connected(address) => address.to_string(),
            Fact::PlainHttp => "plain http, as allow_http says".to_owned(),
            Fact::Secured(version, None) => (*version).to_owned(),
            Fact::Secured(version, Some(days)) => format!("{version}, certificate good for {days} d"),
            Fact::Token(life) if life.as_secs() < 120 => format!("good for {} s", life.as_secs()),
            Fact::Token(life) => format!("good for {} min", (life.as_secs() + 30) / 60),
            Fact::Skew(skew) => clocks(*skew),
            Fact::NoClock => "unknown: the upstream does not tell the time".to_owned(),
        },
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let shown: Vec<_> = addresses.iter().take(SHOWN_ADDRESSES).map(IpAddr::to_string).collect();
    match addresses.len().saturating_sub(SHOWN_ADDRESSES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `skew` is the upstream's clock minus ours.
fn clocks(skew: i64) -> String {
    match skew {
        -1..=1 => "the clocks agree".to_owned(),
        2.. => format!("our clock is {skew} s behind"),
        _ => format!("our clock is {} s ahead", skew.unsigned_abs()),
    }
}

fn what_failed(problem: &Problem, check: &Check) -> String {
    let with = |what: &str, code: &Option<&str>| match code {
        Some(code) => format!("{what}: {code}"),
        None => what.to_owned(),
    };
    match problem {
        Problem::Silence if check.step == Step::Dns => format!("{}: no name server answers", check.host),
        Problem::Silence => "no answer in time".to_owned(),
        Problem::NoAddress(reason) => {
            let reason = reason.trim_start_matches("failed to lookup address information: ");
            format!("{}: {reason}", check.host)
        }
        Problem::NotConnected(reason) => reason.to_string(),
        Problem::NoTls => "no TLS 1.2 or 1.3 there".to_owned(),
        Problem::Expired => "the certificate has expired".to_owned(),
        Problem::WrongName => format!("the certificate is not for {}", check.host),
        Problem::UnknownAuthority => "the certificate is of an unknown authority".to_owned(),
        Problem::Untrusted => "the certificate is no good".to_owned(),
        Problem::Broken => "the connection broke".to_owned(),
        Problem::NoToken => "an answer, but none of a token endpoint".to_owned(),
        Problem::Failing => "the upstream says that it failed".to_owned(),
        Problem::Busy => "the upstream is busy".to_owned(),
        Problem::TimestampRefused => "timestamp refused".to_owned(),
        Problem::SignatureRefused => "signature refused".to_owned(),
        Problem::KeysRefused(code) => with("refused", code),
        Problem::AccountRefused(code) => with("account refused", code),
        Problem::Skew(skew) => clocks(*skew),
    }
}

/// A line, or a few, for each thing that is to be done.
fn advice(regions: &[(&Region, &Vec<Check>)]) -> Vec<String> {
    let of_check = |region: &Region, check: &Check| {
        let advice = match &check.finding {
            Finding::Bad(problem) => what_to_do(problem, check, region),
            Finding::Good(fact) => worry(fact, &check.host)?,
            Finding::NotTried => return None,
        };
        Some(wrapped(&format!("regions.{}: {}: {advice}", region.name, <&str>::from(check.step))))
    };
    let of_region = |(region, checks): &(&Region, &Vec<Check>)| {
        checks.iter().filter_map(|check| of_check(region, check)).collect::<Vec<_>>()
    };
    regions.iter().flat_map(of_region).collect()
}

/// Breaks a text between words; further lines hang under the first.
fn wrapped(text: &str) -> String {
    let mut words = text.split(' ');
    let mut lines = vec![words.next().unwrap_or_default().to_owned()];
    for word in words {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= COLUMNS) {
            Some(line) => line.extend([" ", word]),
            None => lines.push(format!("    {word}")),
        }
    }
    lines.join("\n")
}

/// What to do about a fact that will be a failure if nobody looks after it.
fn worry(fact: &Fact, host: &str) -> Option<String> {
    match fact {
        Fact::Skew(skew) if skew.abs() > WORRYING_SKEW => {
            Some("set this machine's clock, before it is 300 s off".to_owned())
        }
        Fact::Secured(_, Some(days)) if *days < WORRYING_DAYS => {
            Some(format!("ask who runs {host} to renew its certificate"))
        }
        Fact::Skew(_)
        | Fact::Secured(..)
        | Fact::IsAddress
        | Fact::Addresses(_)
        | Fact::Connected(_)
        | Fact::PlainHttp
        | Fact::Token(_)
        | Fact::NoClock => None,
    }
}

fn what_to_do(problem: &Problem, check: &Check, region: &Region) -> String {
    let host = &check.host;
    let (access, secret) = (key("access_key", &region.access_key), key("secret_key", &region.secret_key));
    let let_out = format!("let traffic out to {host} (firewall, network policy); no proxy is used");
    let advice: &dyn Display = match problem {
        Problem::Silence => match check.step {
            Step::Dns => &"let this machine reach its name servers",
            Step::Connect | Step::Tls => &let_out,
            Step::Token | Step::Skew => &"try again with a longer --timeout; if it stays so, ask the vendor",
        },
        Problem::NoAddress(_) => &format!("check the name; `getent hosts {host}` asks as the gateway does"),
        Problem::NotConnected(ErrorKind::ConnectionRefused) => {
            &format!("check host and port of the URL; if they are right, {let_out}")
        }
        Problem::NotConnected(_) => &let_out,
        Problem::NoTls => &"check scheme and port of the URL, and what stands before the host",
        Problem::Expired => &format!("check this machine's clock; if it is right, tell who runs {host}"),
        Problem::WrongName => &"check the URL, and who answers for it: a proxy, or DNS gone astray",
        Problem::UnknownAuthority => {
            &"trust a proxy's or sandbox's authority by ca_file; never an unknown one"
        }
        Problem::Untrusted => &format!("tell who runs {host}"),
        Problem::Broken => &"look for a firewall or proxy that cuts connections",
        Problem::NoToken => {
            &"check token_url (else base_url), and that no proxy answers for it; if both are right, ask the vendor"
        }
        Problem::Failing => &"try again; if it stays so, ask the vendor",
        Problem::Busy => &"wait a minute and try again",
        Problem::TimestampRefused => &"set this machine's clock",
        Problem::SignatureRefused => &format!("check {secret}: it does not go with {access}"),
        Problem::KeysRefused(_) => &format!("check {access}, and that the account may use {host}"),
        Problem::AccountRefused(_) => &"ask the vendor about balance, quota and state of the account",
        Problem::Skew(_) => &"set this machine's clock; the vendor refuses more than 300 s",
    };
    advice.to_string()
}

/// How the configuration spells a key.
fn key(name: &str, secret: &Secret) -> String {
    match secret {
        Secret::Inline(_) => name.to_owned(),
        Secret::File(_) => format!("{name}_file"),
    }
}
