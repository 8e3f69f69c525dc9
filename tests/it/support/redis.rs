//! A real redis-server, its data in a directory of its own, gone when dropped.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::gateway::{OPEN, region};
use super::process::{Scratch, free_address, text};
use super::{Gateway, Upstream, eventually, within};

/// The key that tests encrypt with.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A running redis-server.
pub struct Redis {
    pub address: SocketAddr,
    child: Child,
    args: Vec<String>,
    pub scratch: Scratch,
}

/// What it replied: text, number, nothing or a list, each as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Nothing,
    Text(Vec<u8>),
    Number(i64),
    Error(String),
    List(Vec<Said>),
}

impl Said {
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?} is no text"),
        }
    }

    pub fn bytes(self) -> Vec<u8> {
        if let Self::Text(bytes) = self { bytes } else { panic!("{self:?} is no text") }
    }

    pub fn bytes_if_any(self) -> Option<Vec<u8>> {
        (self != Self::Nothing).then(|| self.bytes())
    }

    pub fn number(&self) -> i64 {
        if let Self::Number(number) = self { *number } else { panic!("{self:?} is no number") }
    }

    pub fn texts(&self) -> Vec<String> {
        if let Self::List(items) = self { items.iter().map(Self::text).collect() } else { panic!("no list") }
    }
}

impl Redis {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// One with further arguments, such as `["--requirepass", "x"]`.
    pub async fn with(args: &[&str]) -> Self {
        Self::at(free_address(), args).await
    }

    /// One at an address of the test's choice.
    pub async fn at(address: SocketAddr, args: &[&str]) -> Self {
        let scratch = Scratch::new();
        let mut all: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--dir", text(&scratch.path(""))]
            .map(str::to_owned)
            .to_vec();
        if !args.contains(&"--port") {
            all.extend(["--port".to_owned(), address.port().to_string()]);
        }
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let child = spawn(&all);
        let redis = Self { address, child, args: all, scratch };
        redis.is_up().await;
        redis
    }

    async fn is_up(&self) {
        within("redis-server", async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The section of a gateway that shares it.
    pub fn section(&self) -> String {
        self.section_at(&self.url(), KEY)
    }

    /// The same, by another URL and with other keys.
    pub fn section_at(&self, url: &str, keys: &str) -> String {
        section(&self.scratch, url, keys)
    }

    /// Sends one command and gives the reply.
    pub async fn ask(&self, words: &[&str]) -> Said {
        ask(self.address, words).await
    }

    /// The same with words of any bytes.
    pub async fn ask_bytes(&self, words: &[&[u8]]) -> Said {
        ask_bytes(self.address, words).await
    }

    /// Every key.
    pub async fn keys(&self, pattern: &str) -> Vec<String> {
        self.ask(&["KEYS", pattern]).await.texts()
    }

    /// The one key of that pattern.
    pub async fn key(&self, pattern: &str) -> String {
        let mut keys = self.keys(pattern).await;
        assert_eq!(keys.len(), 1, "{pattern}: {keys:?}");
        keys.remove(0)
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -s {name} {}", self.child.id())).status();
        assert!(sent.expect("there is a shell").success(), "SIG{name} could not be sent");
    }

    /// Ends it. What it held is lost.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, empty, at the same address.
    pub async fn restart(&mut self) {
        self.stop();
        self.child = spawn(&self.args);
        self.is_up().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends one command to any server and gives the reply.
pub async fn ask(to: SocketAddr, words: &[&str]) -> Said {
    ask_bytes(to, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()).await
}

async fn ask_bytes(to: SocketAddr, words: &[&[u8]]) -> Said {
    let stream = TcpStream::connect(to).await.expect("redis-server listens");
    let mut stream = BufReader::new(stream);
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(format!("${}\r\n", word.len()).bytes());
        request.extend_from_slice(word);
        request.extend(b"\r\n");
    }
    stream.write_all(&request).await.expect("redis-server reads");
    within("a reply of redis-server", reply(&mut stream)).await
}

/// Waits until a gateway uses the second tier.
pub async fn up(gateway: &Gateway) {
    eventually("the second tier", async || gateway.metric("idv_remote_up").await == 1.0).await;
}

/// A gateway with this configuration that uses the second tier.
pub async fn replica_of(pieces: &[&str]) -> Gateway {
    let gateway = Gateway::with(pieces).await;
    up(&gateway).await;
    gateway
}

/// A gateway of one region, open to everybody, that shares what it knows in `redis`.
pub async fn replica(upstream: &Upstream, redis: &Redis) -> Gateway {
    replica_of(&[OPEN, &region("my", upstream), &redis.section()]).await
}

/// The section that every gateway gets which has none: of the server that `IDV_TEST_REMOTE` names, with a key of its own,
/// so that it has no other replicas. `./test` runs tests with a server that works, and with one that has stopped.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the gateway")]
pub fn lane(pieces: &[&str]) -> String {
    let Ok(url) = std::env::var("IDV_TEST_REMOTE") else { return String::new() };
    if pieces.iter().any(|piece| piece.contains("[remote]")) {
        return String::new();
    }
    let key = STANDARD.encode(rand::random::<[u8; 32]>());
    let file = std::env::temp_dir().join(format!("idv-it-lane-{}", &key[..12].replace('/', "_")));
    std::fs::write(&file, key).expect("a file can be written");
    format!("[remote]\nurl = \"{url}\"\nencryption_key_file = \"{}\"\n", text(&file))
}

/// The section of a gateway that shares what is at `url`; `keys` are the lines of the key file.
pub fn section(scratch: &Scratch, url: &str, keys: &str) -> String {
    let name = format!("key-{}", keys.len());
    let file = scratch.write(&name, &format!("{keys}\n"));
    format!("[remote]\nurl = \"{url}\"\nencryption_key_file = \"{}\"\n", text(&file))
}

fn spawn(args: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server is installed: scripts/install-debian redis-server")
}

async fn reply(stream: &mut BufReader<TcpStream>) -> Said {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("redis-server replies");
    let (kind, rest) = line.trim_end().split_at(1);
    match kind {
        "+" => Said::Text(rest.as_bytes().to_vec()),
        "-" => Said::Error(rest.to_owned()),
        ":" => Said::Number(rest.parse().expect("a number")),
        "$" if rest == "-1" => Said::Nothing,
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>().expect("a length") + 2];
            stream.read_exact(&mut bytes).await.expect("redis-server sends all of it");
            bytes.truncate(bytes.len() - 2);
            Said::Text(bytes)
        }
        "*" => {
            let mut items = Vec::new();
            for _ in 0..rest.parse::<i64>().expect("a length") {
                items.push(Box::pin(reply(stream)).await);
            }
            Said::List(items)
        }
        other => panic!("{other:?} begins no reply"),
    }
}
