use crate::support::{Gateway, Reply, Upstream, bodies};

#[tokio::test]
async fn twenty_callers_cost_one_upstream_call() {
    let upstream = Upstream::start().await;
    let gate = crate::support::upstream::Gate::default();
    upstream.answer("S1", [Reply::json(bodies::passed("S1")).gated(&gate)]);
    let gateway = Gateway::over(&upstream).await;
    let callers = futures_util::future::join_all((0..20).map(|_| gateway.get("/idv/S1")));
    let open = async {
        upstream.wait_for_hits("S1", 1).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(callers, open);
    assert!(answers.iter().all(|answer| answer.gist() == (200, "passed".to_owned())));
    assert_eq!(upstream.hits("S1"), 1);
    assert_eq!(gateway.fills().await, 0.0);
}
