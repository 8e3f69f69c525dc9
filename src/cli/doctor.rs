//! `doctor`: every region and the second tier tried out as the gateway would use them, in a table, with what to do about
//! each failure.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::check_config;
use super::terminal::{ConfigFile, Failed, Outcome, block_on, say};
use crate::config::Config;
use crate::net::{Check, Finding};

/// The exit code for a wrong command line, as clap has it.
const EX_USAGE: u8 = 2;
/// The width of a terminal, at which advice is wrapped.
const COLUMNS: usize = 80;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Try this region alone.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// What the whole may take. All regions are tried at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    timeout: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut config = check_config::load(&args.file.path)?;
    if let Some(name) = &args.region {
        keep_region(&mut config, name).map_err(|why| Failed { why, code: EX_USAGE })?;
        config.remote = None;
    }
    let limit = Duration::from_secs(args.timeout);
    block_on(async {
        let (regions, second_tier) = crate::diagnose(&config, limit).await?;
        report(&config, &regions, &second_tier)
    })
}

fn keep_region(config: &mut Config, name: &str) -> Result<(), String> {
    let known: Vec<_> = config.regions.iter().map(|region| region.name.to_string()).collect();
    config.regions.retain(|region| region.name.as_str() == name);
    if config.regions.is_empty() {
        return Err(format!("--region: no such region; the configuration has {}", known.join(", ")));
    }
    Ok(())
}

/// A region or the second tier: its name in the table, where the configuration has it, and its checks.
type Tried<'a> = (&'a str, String, &'a [Check]);

/// Prints what was found.
fn report(config: &Config, regions: &[Vec<Check>], second_tier: &[Check]) -> Outcome {
    let names = config.regions.iter().map(|region| region.name.as_str());
    let tried = names.zip(regions).map(|(name, checks)| (name, format!("regions.{name}"), checks.as_slice()));
    let tried: Vec<Tried> = tried.chain([("remote", "remote".to_owned(), second_tier)]).collect();
    say(table(&tried))?;
    let advice: Vec<String> = tried.iter().flat_map(advice).collect();
    if !advice.is_empty() {
        say(format_args!("\n{}", advice.join("\n")))?;
    }
    let has_failed = |checks: &[Check]| checks.iter().any(|check| matches!(check.finding, Finding::Bad(_)));
    match regions.iter().filter(|checks| has_failed(checks)).count() {
        0 if has_failed(second_tier) => Err("the second tier failed".into()),
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(format!("regions that failed: {failed} of {}", regions.len()).into()),
    }
}

fn table(tried: &[Tried]) -> String {
    let width = tried.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let mut table = format!("{:width$}  check    result     time  detail", "region");
    for (name, _, checks) in tried {
        for (index, check) in checks.iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let (result, detail) = match &check.finding {
                Finding::Good(found) => ("ok", found.as_str()),
                Finding::Worrying(problem) => ("warn", problem.found.as_str()),
                Finding::Bad(problem) => ("FAILED", problem.found.as_str()),
                Finding::Unknown(why) => ("-", *why),
            };
            let took = check.took.as_millis();
            let took = if took > 0 { format!("{took} ms") } else { String::new() };
            // Writing to a string does not fail.
            let _ = write!(table, "\n{name:width$}  {:7}  {result:6}  {took:>7}  {detail}", check.step);
        }
    }
    table
}

/// One piece of advice for each problem, wrapped.
fn advice((_, path, checks): &Tried) -> Vec<String> {
    let of_check = |check: &Check| match &check.finding {
        Finding::Worrying(problem) | Finding::Bad(problem) => {
            Some(wrapped(&format!("{path}: {}: {}", check.step, problem.advice)))
        }
        Finding::Good(_) | Finding::Unknown(_) => None,
    };
    checks.iter().filter_map(of_check).collect()
}

/// Wraps a text between words; all lines but the first are indented.
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
