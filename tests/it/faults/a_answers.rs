//! The upstream answers badly.

use super::trial::Trial;
use crate::support::{Reply, bodies};

#[tokio::test]
async fn f001_http_500_once() {
    let trial = Trial::start().await;
    trial.truly_passes("A1");
    trial.upstream().answer("A1", [Reply::text(500, "{}"), Reply::json(bodies::passed("A1"))]);
    assert_eq!(trial.ask("A1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(trial.upstream().hits("A1"), 2);
    trial.invariants_hold().await;
}
