//! What `doctor` says of the second tier: rows of its table, and what to do about each failure.

use std::fmt::Write;

use crate::{RemoteCheck as Check, RemoteProblem as Problem, RemoteStep as Step};

/// The rows below those of the regions, whose column has that width.
pub(super) fn rows(checks: &[Check], width: usize) -> String {
    let mut rows = String::new();
    for (index, check) in checks.iter().enumerate() {
        let name = if index == 0 { "remote" } else { "" };
        let (result, detail) = match &check.finding {
            None => ("-", "not tried"),
            Some(Ok(())) => ("ok", good(check.step)),
            Some(Err(problem)) => ("FAILED", bad(problem)),
        };
        let step = <&str>::from(check.step);
        let took =
            check.finding.as_ref().map(|_| format!("{} ms", check.took.as_millis())).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(rows, "\n{name:width$}  {step:7}  {result:6}  {took:>7}  {detail}");
    }
    rows
}

/// A line for each thing that is to be done.
pub(super) fn advice(checks: &[Check]) -> Vec<String> {
    let of_check = |check: &Check| {
        let Some(Err(problem)) = &check.finding else { return None };
        Some(format!("remote: {}: {}", <&str>::from(check.step), what_to_do(problem, check.step)))
    };
    checks.iter().filter_map(of_check).collect()
}

pub(super) fn has_failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| matches!(check.finding, Some(Err(_))))
}

const fn good(step: Step) -> &'static str {
    match step {
        Step::Connect => "address, TLS, user and password",
        Step::Values => "every command works",
        Step::Messages => "its own message was heard",
    }
}

const fn bad(problem: &Problem) -> &'static str {
    match problem {
        Problem::Silence => "no answer in time",
        Problem::Broken => "no connection, or it broke",
        Problem::Refused(Some(code)) => code,
        Problem::Refused(None) => "refused",
        Problem::OtherValue => "what was written is not what is read",
    }
}

fn what_to_do(problem: &Problem, step: Step) -> &'static str {
    match problem {
        Problem::Refused(Some("READONLY")) => "point the URL at the primary, or use sentinels",
        Problem::Refused(Some("OOM")) => "raise maxmemory, or set maxmemory-policy allkeys-lru",
        Problem::Refused(Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN")) => {
            "wait until the servers are ready, then try again"
        }
        Problem::Refused(_) => match step {
            Step::Connect => "check user and password in the URL, and its database",
            Step::Values => "give the user the commands that docs/operations.md lists, on keys ~idv:*",
            Step::Messages => "give the user publish and subscribe, on channels &idv:*",
        },
        Problem::Silence | Problem::Broken => {
            "check host, port and scheme (rediss:// for TLS) of the URL, ca_file, and the network policy"
        }
        Problem::OtherValue => {
            "look at what answers at the URL: it is no Valkey or Redis, or it loses writes"
        }
    }
}
