//! Logs that are not read fast enough.

use super::rows::{Row, row};
use crate::support::client::Connection;
use crate::support::gateway::{OPEN, region};
use crate::support::process::Served;
use crate::support::{Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![row(
        168,
        "slow log reader while personal data is read",
        "every audit line is written, or the answer is refused",
    )]
}

const AUDIT_LINES: &str = "idv_audit_queue_lines";

/// Asks a hundred times; how often personal data was shown, and how often the answer was refused.
async fn ask_hundredfold(connection: &mut Connection) -> (usize, usize) {
    let request = "GET /idv/F168 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(request.repeat(100).as_bytes()).await;
    let (mut shown, mut refused) = (0, 0);
    for _ in 0..100 {
        let answer = connection.answer().await.expect("an answer");
        match answer.status {
            200 => shown += 1,
            _ => {
                assert_eq!(answer.gist(), (503, "overloaded".to_owned()));
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
        }
    }
    (shown, refused)
}

#[tokio::test]
async fn f168_every_audit_line_is_written_or_the_answer_is_refused() {
    let upstream = Upstream::start().await;
    upstream.pass("F168");
    let mut served = Served::unread(&[OPEN, &region("my", &upstream)]).await;
    let mut connection = Connection::open(served.public).await;
    let (mut shown, mut refused) = (0, 0);
    while refused < 1000 {
        let (more_shown, more_refused) = ask_hundredfold(&mut connection).await;
        shown += more_shown;
        refused += more_refused;
    }
    assert!(served.metric(AUDIT_LINES).await > 1000.0);
    assert_eq!(served.get("/idv/F168?view=decision").await.status, 200, "nobody's data");

    served.process.read_stdout();
    eventually("the lines to be written", async || served.metric(AUDIT_LINES).await == 0.0).await;
    assert_eq!(ask_hundredfold(&mut connection).await, (100, 0));
    drop(connection);
    let finished = served.stop().await;
    let audit = finished.stdout.lines().filter(|line| line.contains("personal data shown"));
    assert_eq!(audit.count(), shown + 100);
    assert_eq!(finished.stdout.matches("limit reached: answers with personal data").count(), 1);
    assert_eq!(upstream.hits("F168"), 1);
}
