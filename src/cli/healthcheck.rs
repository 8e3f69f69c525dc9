//! `healthcheck`: asks a running gateway's `/livez`, for images without a shell.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::terminal::{Outcome, bad_config, block_on};
use crate::config;

/// A gateway that takes longer than this to answer is not alive.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(super) struct Args {
    /// The admin listener, by address or name [default: from the configuration or its variables, else
    /// 127.0.0.1:8081].
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    admin: Option<String>,
    /// The configuration file that the gateway runs with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let from_config =
        || config::admin_address_from_env(args.config.as_deref()).map(|admin| admin.to_string());
    let admin = args.admin.clone().map_or_else(from_config, Ok).map_err(bad_config)?;
    block_on(async move {
        match timeout(TIMEOUT, is_alive(&admin)).await {
            Ok(Ok(true)) => Ok(ExitCode::SUCCESS),
            Ok(Ok(false)) => Err(format!("http://{admin}/livez does not answer 200").into()),
            Ok(Err(error)) => Err(format!("cannot ask http://{admin}/livez: {error}").into()),
            Err(_) => Err(format!("http://{admin}/livez does not answer within {TIMEOUT:?}").into()),
        }
    })
}

/// A host and a port as written in the request: no path, nothing that could end the line.
fn host_and_port(text: &str) -> Result<String, String> {
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let well_formed = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.bytes().all(is_host_byte) && port.parse::<u16>().is_ok()
    });
    let expected = "expected a host and a port, such as 127.0.0.1:8081 or gateway:8081";
    well_formed.then(|| text.to_owned()).ok_or_else(|| expected.to_owned())
}

/// One request, by hand: a client library would be more than this question needs.
async fn is_alive(admin: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head == *b"HTTP/1.1 200")
}
