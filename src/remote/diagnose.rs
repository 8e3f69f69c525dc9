//! Checks of the second tier: a connection, every command that the gateway sends, a message to itself.

use std::time::Duration;

use futures_util::StreamExt;
use redis::{RedisError, RedisResult};
use tokio::time::Instant;

use super::servers::{Connection, Driver, Servers};
use super::{Commands, Reply};
use crate::net::{Check, Finding, Problem, Trial};

/// In this order. Each needs a connection.
const STEPS: [&str; 3] = ["connect", "values", "pubsub"];
/// What the checks write expires by itself, too.
const LIFE: Duration = Duration::from_secs(10);

/// Codes of the servers.
const CODES: [&str; 9] =
    ["WRONGPASS", "NOAUTH", "NOPERM", "READONLY", "OOM", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF"];

/// Checks the servers, until `deadline`.
pub(crate) async fn diagnose(servers: &Servers, deadline: Instant) -> Vec<Check> {
    let mut trial = Trial::until(deadline);
    if let Some((mut connection, driver)) = trial.step(STEPS[0], silence(), connect(servers)).await {
        let driving = tokio::spawn(driver);
        trial.step(STEPS[1], silence(), values(&mut connection)).await;
        trial.step(STEPS[2], silence(), messages(servers, &mut connection)).await;
        driving.abort();
    }
    trial.finish(&STEPS)
}

async fn connect(servers: &Servers) -> Result<(Finding, (Connection, Driver)), Problem> {
    let connected = servers.connect().await.map_err(|error| problem(&error, CREDENTIALS))?;
    Ok((Finding::Good("address, TLS, user and password".to_owned()), connected))
}

/// Every command, on keys of its own.
async fn values(connection: &mut Connection) -> Result<(Finding, ()), Problem> {
    let name = format!("idv:{{doctor-{:016x}}}", rand::random::<u64>());
    let key = |what: &str| format!("{name}:{what}");
    let (value, fields, list, turns) = (key("value"), key("fields"), key("list"), key("turns"));
    let word = rand::random::<[u8; 16]>();
    let mut commands = Commands::default();
    commands.write_new(&value, b"held", LIFE);
    commands.release(&value, b"held");
    commands.take_turn(&turns, 1, LIFE);
    commands.write_in_turn(&value, 1, &word, LIFE);
    commands.write_fields(&fields, &[("a".to_owned(), word.to_vec())], LIFE);
    commands.read_fields(&fields, &["a".to_owned()]);
    commands.remove_fields(&fields, &["a".to_owned()]);
    commands.push(&list, &word, 1, LIFE);
    commands.list(&list, 1);
    commands.life(&value);
    commands.read(&value);
    [&value, &fields, &list, &turns].into_iter().for_each(|key| commands.remove(key));
    let rights = "give the user the commands that docs/operations.md lists, on keys ~idv:*";
    let replies = connection.send(&commands.0).await.map_err(|error| problem(&error, rights))?;
    let read = replies.into_iter().map(Reply).filter_map(Reply::bytes).next_back();
    if read.is_none_or(|read| read != word) {
        let advice = "look at what answers at the URL: it is no Valkey or Redis, or it loses writes";
        return Err(Problem::new("what was written is not what is read", advice));
    }
    Ok((Finding::Good("every command works".to_owned()), ()))
}

/// A message on a channel of its own.
async fn messages(servers: &Servers, connection: &mut Connection) -> Result<(Finding, ()), Problem> {
    let rights = "give the user publish, subscribe and ping, on channels &idv:*";
    receive_own_message(servers, connection).await.map_err(|error| problem(&error, rights))?;
    Ok((Finding::Good("its own message was heard".to_owned()), ()))
}

async fn receive_own_message(servers: &Servers, connection: &mut Connection) -> RedisResult<()> {
    let channel = format!("idv:doctor-{:016x}", rand::random::<u64>());
    let mut subscription = servers.subscribe(0).await?;
    subscription.subscribe(&channel).await?;
    subscription.ping::<()>().await?;
    let mut commands = Commands::default();
    commands.publish(&channel, b"heard");
    connection.send(&commands.0).await?;
    let received = subscription.on_message().next().await;
    received.map(drop).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
}

const CREDENTIALS: &str = "check user and password in the URL, and its database";
const REACH: &str =
    "check host, port and scheme (rediss:// for TLS) of the URL, ca_file, and the network policy";

fn silence() -> Problem {
    Problem::new("no answer in time", REACH)
}

/// What an error means, without its text, which may hold anything. `rights` is the advice where the servers refuse.
fn problem(error: &RedisError, rights: &str) -> Problem {
    if error.is_timeout() {
        return silence();
    }
    if error.is_io_error() {
        return Problem::new("no connection, or it broke", REACH);
    }
    let code = CODES.into_iter().find(|code| error.code() == Some(code));
    let advice = match code {
        Some("WRONGPASS" | "NOAUTH") => CREDENTIALS,
        Some("READONLY") => "point the URL at the primary, or use sentinels",
        Some("OOM") => "raise maxmemory, or set maxmemory-policy allkeys-lru",
        Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN") => "wait until the servers are ready, then try again",
        _ => rights,
    };
    Problem::new(code.unwrap_or("refused"), advice)
}
