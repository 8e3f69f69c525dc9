//! `hash-key`: a key for a caller, and what of it goes into the configuration.

use std::io::Read;
use std::process::ExitCode;

use sha2::{Digest, Sha256};

use super::terminal::{Outcome, say};

/// The longest key: what goes into a request's head with other headers.
const MAX_KEY: usize = 8192;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Hash the key on standard input instead of making one.
    #[arg(long)]
    stdin: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let key = if args.stdin {
        key_from_stdin()?
    } else {
        let key = hex(&rand::random::<[u8; 32]>());
        say(format_args!("key         {key}\n            give it to the caller; it is not stored anywhere"))?;
        key
    };
    say(format_args!("key_sha256  {}", hex(&Sha256::digest(&key))))?;
    Ok(ExitCode::SUCCESS)
}

fn key_from_stdin() -> Result<String, String> {
    let mut key = String::new();
    let mut input = std::io::stdin().take(MAX_KEY as u64 + 3);
    input.read_to_string(&mut key).map_err(|error| format!("cannot read the key: {error}"))?;
    let key = key.trim_end_matches(['\r', '\n']);
    let is_token = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token {
        Ok(key.to_owned())
    } else {
        Err(format!("a key is one line of visible ASCII characters, at most {MAX_KEY} of them"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
