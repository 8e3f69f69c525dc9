//! The second tier tried out: a connection, every command that the gateway sends, a message to itself.

use std::time::Duration;

use futures_util::StreamExt;
use redis::{RedisError, RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use super::servers::{Connection, Servers};
use super::{Commands, Reply};

/// What is written for the trial ends by itself, too.
const LIFE: Duration = Duration::from_secs(10);

/// One check of the second tier.
pub(crate) struct Check {
    /// What was tried.
    pub step: Step,
    /// How long it took.
    pub took: Duration,
    /// What came of it. `None`: a step before it failed.
    pub finding: Option<Result<(), Problem>>,
}

/// The steps, in order. Each needs a connection.
#[derive(Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Step {
    /// A connection: address, TLS, user and password.
    Connect,
    /// Values are written, read and removed, by every command that is used.
    Values,
    /// A message is heard.
    #[strum(serialize = "pubsub")]
    Messages,
}

/// Why a step failed.
pub(crate) enum Problem {
    /// Nothing came within the time there was.
    Silence,
    /// There is no connection, or it broke.
    Broken,
    /// The servers refuse; their code, if it is one we know.
    Refused(Option<&'static str>),
    /// What was written is not what is read.
    OtherValue,
}

/// Codes of the servers.
const CODES: [&str; 9] =
    ["WRONGPASS", "NOAUTH", "NOPERM", "READONLY", "OOM", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "MISCONF"];

/// Tries the servers out, until `deadline`.
pub(crate) async fn diagnose(servers: &Servers, deadline: Instant) -> Vec<Check> {
    let (connect, connected) = check(Step::Connect, deadline, servers.connect()).await;
    let mut checks = vec![connect];
    if let Some((mut connection, driver)) = connected {
        let driving = tokio::spawn(driver);
        checks.push(check(Step::Values, deadline, values(&mut connection)).await.0);
        checks.push(check(Step::Messages, deadline, messages(servers, &mut connection)).await.0);
        driving.abort();
    } else {
        let not_tried = |step| Check { step, took: Duration::ZERO, finding: None };
        checks.extend([Step::Values, Step::Messages].map(not_tried));
    }
    checks
}

async fn check<T>(
    step: Step,
    deadline: Instant,
    trial: impl Future<Output = Result<T, impl Into<Problem>>>,
) -> (Check, Option<T>) {
    let started = Instant::now();
    let (finding, found) = match timeout_at(deadline, trial).await {
        Ok(Ok(found)) => (Ok(()), Some(found)),
        Ok(Err(problem)) => (Err(problem.into()), None),
        Err(_) => (Err(Problem::Silence), None),
    };
    (Check { step, took: started.elapsed(), finding: Some(finding) }, found)
}

/// Every command, on keys that nobody else uses.
async fn values(connection: &mut Connection) -> Result<(), Problem> {
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
    let replies: Vec<Value> = connection.send(&commands.0).await?;
    let read = replies.into_iter().map(Reply::of).filter_map(Reply::bytes).next_back();
    if read.is_some_and(|read| read == word) { Ok(()) } else { Err(Problem::OtherValue) }
}

/// A message on a channel that nobody else uses.
async fn messages(servers: &Servers, connection: &mut Connection) -> RedisResult<()> {
    let channel = format!("idv:doctor-{:016x}", rand::random::<u64>());
    let mut subscription = servers.subscribe(0).await?;
    subscription.subscribe(&channel).await?;
    let mut commands = Commands::default();
    commands.publish(&channel, b"heard");
    connection.send(&commands.0).await?;
    let heard = subscription.on_message().next().await;
    heard.map(drop).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
}

impl From<RedisError> for Problem {
    /// Without its text, which may hold anything.
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::Silence
        } else if error.is_io_error() {
            Self::Broken
        } else {
            Self::Refused(CODES.into_iter().find(|code| error.code() == Some(code)))
        }
    }
}
