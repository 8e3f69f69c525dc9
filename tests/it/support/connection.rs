//! One connection that is kept: requests and answers by turns, or whatever bytes a test wants on it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, Answer};
use super::within;

/// A connection to a listener.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the listener accepts connections");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection takes bytes");
    }

    /// Sends a `GET` without waiting for its answer.
    pub async fn ask(&mut self, target: &str) {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: gateway\r\n\r\n").as_bytes()).await;
    }

    /// Reads the next answer; its body is as long as it says.
    pub async fn answer(&mut self) -> Answer {
        within("an answer", async {
            loop {
                if let Some(answer) = self.take_answer() {
                    return answer;
                }
                let read = self.stream.read_buf(&mut self.buffer).await;
                let is_open = read.is_ok_and(|length| length > 0);
                assert!(is_open, "no answer but {:?}", String::from_utf8_lossy(&self.buffer));
            }
        })
        .await
    }

    /// Sends a `GET` and reads its answer.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.ask(target).await;
        self.answer().await
    }

    /// Waits until the other side closes; what it still says is returned.
    pub async fn closed(mut self) -> Vec<u8> {
        within("the end of the connection", async {
            // A reset is an end too.
            let _ = self.stream.read_to_end(&mut self.buffer).await;
            self.buffer
        })
        .await
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let mut answer = client::parse(&self.buffer)?;
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let head = self.buffer.len() - answer.body.len();
        if answer.body.len() < length {
            return None;
        }
        answer.body.truncate(length);
        self.buffer.drain(..head + length);
        Some(answer)
    }
}
