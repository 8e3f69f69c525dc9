//! The real binary in a process of its own: its output gathered, signals sent to it, killed when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::net::TcpStream;

use super::client::{self, Answer};
use super::gateway::{QUICK_DRAIN, metric_at};
use super::{eventually, within};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address that nobody listens on. Its port lies below those that the system hands out by itself, so that no test
/// next door is given it before the process takes it.
pub fn free_address() -> SocketAddr {
    loop {
        let n = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + (n % 10_000) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A directory of one test, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let name = format!("idv-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, whole or not at all, as an orchestrator does.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path("new"));
        std::fs::write(&new, text).expect("a file can be written");
        std::fs::rename(&new, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path as text, for a command line or a configuration.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is UTF-8")
}

/// What a command that came to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub async fn run(args: &[&str]) -> Finished {
    run_with(args, &[], "").await
}

/// Runs a command to its end, with these variables and this standard input.
pub async fn run_with(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Finished {
    let mut process = Process::start_with(args, env);
    let mut input = process.child.stdin.take().expect("standard input is a pipe");
    // A command that does not read it may be gone already.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    process.exit().await
}

/// A running process.
pub struct Process {
    child: Child,
    stdout: Gathered,
    stderr: Gathered,
    /// Standard output, if nobody is to read it.
    unread: Option<ChildStdout>,
}

impl Process {
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_by(&[], args, env)
    }

    /// A process that another starts: `wrapper` is its command line, to which the binary's is added.
    pub fn start_by(wrapper: &[&str], args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut this = Self::spawn(wrapper, args, env);
        this.stdout = Gathered::from(this.unread.take());
        this
    }

    /// A process whose standard output is a pipe that nobody reads.
    pub fn start_unread(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::spawn(&[], args, env)
    }

    fn spawn(wrapper: &[&str], args: &[&str], env: &[(&str, &str)]) -> Self {
        let line = [wrapper, &[env!("CARGO_BIN_EXE_idv-gateway")], args].concat();
        let mut command = Command::new(line[0]);
        let is_read = |name: &str| name.starts_with("IDV__") || name.starts_with("OTEL_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_read(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.args(&line[1..]).envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be run");
        let (unread, stderr) = (child.stdout.take(), Gathered::from(child.stderr.take()));
        Self { child, stdout: Gathered::default(), stderr, unread }
    }

    /// Reads a standard output that nobody read so far.
    pub fn read_stdout(&mut self) {
        self.stdout = Gathered::from(self.unread.take());
    }

    /// Closes the reading end of a standard output that nobody reads.
    pub fn close_stdout(&mut self) {
        self.unread = None;
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -s {name} {}", self.child.id())).status();
        assert!(sent.expect("there is a shell").success(), "SIG{name} could not be sent");
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kilobytes of memory it holds.
    pub fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many files it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs").count()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits until standard output holds `wanted`.
    pub async fn says(&self, wanted: &str) {
        eventually(&format!("{wanted:?} on standard output"), async || self.stdout().contains(wanted)).await;
    }

    /// Waits for the end, and takes what was written until then.
    pub async fn exit(&mut self) -> Finished {
        eventually("the end of the process", async || !self.is_running()).await;
        let status = self.child.wait().expect("a child can be waited for");
        let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
        Finished { code: status.code(), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process wrote to a pipe.
#[derive(Default)]
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let gathered = Arc::clone(&bytes);
        let mut pipe = pipe.expect("the pipe is taken once");
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                gathered.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it, once the writer is gone.
    fn rest(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader does not panic");
        }
        self.text()
    }
}

/// A gateway in a process of its own, started by `serve`.
pub struct Served {
    pub process: Process,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    scratch: Scratch,
}

impl Served {
    /// A gateway with a configuration made of these pieces of TOML; listeners and drain are given by the test.
    pub async fn with(pieces: &[&str]) -> Self {
        Self::start(pieces, &[], Process::start_with).await
    }

    /// The same, with standard output a pipe that nobody reads.
    pub async fn unread(pieces: &[&str]) -> Self {
        Self::start(pieces, &[], Process::start_unread).await
    }

    /// The same, with variables.
    pub async fn with_env(pieces: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start(pieces, env, Process::start_with).await
    }

    /// The same, started by another process.
    pub async fn by(wrapper: &[&str], pieces: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start(pieces, env, |args, env| Process::start_by(wrapper, args, env)).await
    }

    async fn start(
        pieces: &[&str],
        env: &[(&str, &str)],
        start: impl FnOnce(&[&str], &[(&str, &str)]) -> Process,
    ) -> Self {
        let (public, admin, scratch) = (free_address(), free_address(), Scratch::new());
        let drain = if pieces.iter().any(|piece| piece.contains("[drain]")) { "" } else { QUICK_DRAIN };
        let text = format!(
            "[server]\nlisten = \"{public}\"\nadmin_listen = \"{admin}\"\n{}\n{drain}",
            pieces.join("\n")
        );
        let config = scratch.write("gateway.toml", &text);
        let mut process = start(&["serve", "--config", self::text(&config)], env);
        within("readiness", async {
            while !is_ready(admin).await {
                assert!(process.is_running(), "the gateway ended: {}\n{text}", process.stderr());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        Self { process, public, admin, scratch }
    }

    /// `GET` from the public listener, without a key.
    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[]).await
    }

    /// `GET` from the public listener with a caller's key.
    pub async fn get_as(&self, key: &str, target: &str) -> Answer {
        self.send("GET", target, &[("Authorization", &format!("Bearer {key}"))]).await
    }

    /// Any request to the public listener.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        client::request(self.public, method, target, headers).await
    }

    /// `GET` from the admin listener.
    pub async fn admin(&self, target: &str) -> Answer {
        client::request(self.admin, "GET", target, &[]).await
    }

    /// The value of one metric series as written.
    pub async fn metric(&self, series: &str) -> f64 {
        metric_at(self.admin, series).await
    }

    /// Starts it again with the same configuration on the same ports, once it has ended.
    pub async fn restart(&mut self) {
        let config = self.scratch.path("gateway.toml");
        self.process = Process::start(&["serve", "--config", text(&config)]);
        eventually("readiness", async || is_ready(self.admin).await).await;
    }

    /// The files beside its configuration.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.scratch.0).expect("the directory is there");
        files.map(|file| file.expect("a file has a name").path()).collect()
    }

    /// Asks the gateway to stop, and waits until it has.
    pub async fn stop(mut self) -> Finished {
        self.process.signal("TERM");
        self.process.exit().await
    }
}

async fn is_ready(admin: SocketAddr) -> bool {
    if TcpStream::connect(admin).await.is_err() {
        return false;
    }
    client::request(admin, "GET", "/readyz", &[]).await.status == 200
}
