//! The commands, one file each.

mod check_config;
mod demo;
mod doctor;
mod hash_key;
mod healthcheck;
mod sandbox;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use terminal::ConfigFile;

/// One small, stable, honest answer per signature id, in front of ADVANCE.AI's identity verification.
///
/// New here? `idv-gateway demo` runs the gateway with a simulated upstream and prints what to try.
#[derive(Parser)]
#[command(name = "idv-gateway", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// SIGTERM or Ctrl-C stops it in order: not ready, serve for drain.delay, accept no more, finish what
    /// is under way until drain.deadline. A second one stops it at once. SIGHUP reads key and certificate
    /// files again.
    ///
    /// Exit codes: 0 after a drain, 1 at the deadline, on a second signal or when it cannot listen, 78 for a bad
    /// configuration.
    #[command(verbatim_doc_comment)]
    Serve(ConfigFile),
    /// Run the gateway and a simulated upstream, with nothing to configure, and print what to try
    ///
    /// Callers need no key, so --listen must be a loopback address. Ctrl-C stops it.
    #[command(verbatim_doc_comment)]
    Demo(demo::Args),
    /// Run the simulated upstream alone
    ///
    /// One port, one path prefix per region: http://127.0.0.1:8090/my is a base_url, with allow_http = true.
    /// The keys are sandbox-access-key and sandbox-secret-key.
    #[command(verbatim_doc_comment)]
    Sandbox(sandbox::Args),
    /// Check a configuration file, and report every mistake in it
    ///
    /// One line per mistake: file or variable, key, what would be right.
    ///
    /// Exit codes: 0 for a good file, 78 for a bad one.
    #[command(verbatim_doc_comment)]
    CheckConfig(ConfigFile),
    /// Try out every region: DNS, connection, TLS, token, clock; and say what to do about what fails
    ///
    /// Does what a gateway with this configuration would do, from where it is run: the same names, roots,
    /// keys and time limits. Needs no running gateway, asks for no result, shows no secret. Run it by hand when
    /// something fails, or as an init job before the gateway.
    ///
    /// Exit codes: 0 if all is well, 1 if something failed, 2 for an unknown --region, 78 for a bad configuration.
    #[command(verbatim_doc_comment)]
    Doctor(doctor::Args),
    /// Make a key for a caller, and the hash of it for the configuration
    ///
    /// The caller sends the key as `Authorization: Bearer <key>`; a caller's key_sha256 is all that
    /// the gateway knows of it.
    #[command(verbatim_doc_comment)]
    HashKey(hash_key::Args),
    /// Check that a running gateway is alive: for images without a shell
    ///
    /// Asks /livez of the admin listener.
    ///
    /// Exit codes: 0 if it is alive, 1 if not, 78 if the configuration does not give its address.
    #[command(verbatim_doc_comment)]
    Healthcheck(healthcheck::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    terminal::end(match Cli::parse().command {
        Command::Serve(file) => serve::run(&file),
        Command::Demo(args) => demo::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::CheckConfig(file) => check_config::run(&file),
        Command::Doctor(args) => doctor::run(&args),
        Command::HashKey(args) => hash_key::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
    })
}
