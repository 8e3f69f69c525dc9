//! What holds of fills in whatever order their steps come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::rand::Rng;
use shuttle::thread;

use super::{Answer, ENDS_EARLY, Harness, Outcome, number, regions};
use crate::domain::drift::DriftKind;
use crate::domain::failure::{Failure, Fault, Kind};
use crate::lookup::ask::{Missed, Source};
use crate::telemetry::metrics::Metrics;

/// So many orders: half of them at random, half that delay few threads for long. Metrics take longer to make than most
/// orders to run, so they are made once.
fn explore(scenario: fn(&Arc<Metrics>)) {
    let metrics = Arc::new(Metrics::new(regions().names(), &[]));
    let scenario = move || {
        scenario(&metrics);
        assert_eq!(metrics.lookups.fills_in_flight.get(), 0);
    };
    shuttle::check_random(scenario.clone(), 500);
    shuttle::check_pct(scenario, 500, 3);
}

fn outcomes(callers: Vec<thread::JoinHandle<Outcome>>) -> Vec<Outcome> {
    callers.into_iter().map(|caller| caller.join().unwrap()).collect()
}

#[test]
fn callers_share_one_call_in_every_order() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::Found, metrics);
        for outcome in outcomes(harness.callers("my", 3)) {
            assert!(outcome.is_ok_and(|found| number(&found.entry) == 1));
        }
        assert_eq!((harness.started.load(Ordering::SeqCst), harness.asked()), (1, 1));
        harness.wait_until_quiet();
    });
}

#[test]
fn a_refresh_is_answered_by_a_call_that_started_after_it_and_refreshes_share_calls() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::Found, metrics);
        let callers = harness.callers("my", 1);
        let refresh = || {
            let harness = Arc::clone(&harness);
            thread::spawn(move || {
                let before = harness.asked();
                let found = harness.refresh("my").ok().expect("it lands");
                assert!(number(&found.entry) > before, "an answer that is older than the refresh");
            })
        };
        let refreshes = [refresh(), refresh(), refresh()];
        refreshes.into_iter().for_each(|refresh| refresh.join().unwrap());
        outcomes(callers);
        harness.wait_until_quiet();
        assert!(harness.asked() <= 4);
        assert!(
            harness.upstream.most.load(Ordering::SeqCst) <= 2,
            "the older fill, and one refresh at a time"
        );
        let last = harness.call("my").ok().expect("it is kept");
        assert!(
            number(&last.entry) > 1 || harness.asked() == 3,
            "a refresh is not replaced by what is older"
        );
    });
}

/// Two that wait, a purge, and one whose wait ends: by its time, or by a drain.
#[test]
fn whoever_waits_is_answered_and_nobody_polls_for_those_who_left() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::FoundLater, metrics);
        let wait = |harness: Arc<Harness>| thread::spawn(move || harness.wait(std::future::pending()));
        let waiting = [wait(Arc::clone(&harness)), wait(Arc::clone(&harness))];
        let leaving = {
            let harness = Arc::clone(&harness);
            thread::spawn(move || harness.wait(shuttle::future::yield_now()).is_ok())
        };
        let purge = {
            let harness = Arc::clone(&harness);
            thread::spawn(move || harness.purge())
        };
        for outcome in waiting {
            let found = outcome.join().unwrap().ok().expect("an answer");
            assert!(found.entry.is_final(), "whoever waits without end gets the final result");
        }
        assert!(leaving.join().unwrap());
        purge.join().unwrap();
        harness.wait_until_quiet();
        assert_eq!((metrics.waits.waiters.get(), metrics.waits.pollers.get()), (0, 0));
        assert!(harness.upstream.most.load(Ordering::SeqCst) <= 2, "one call before the purge, one after");
    });
}

#[test]
fn nothing_from_before_a_purge_is_kept_or_shown_after_it() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::Found, metrics);
        let callers = harness.callers("my", 2);
        // As often as not once the upstream works on it: that is when a purge is hardest to keep.
        let is_late = shuttle::rand::thread_rng().r#gen();
        while is_late && harness.asked() == 0 {
            thread::yield_now();
        }
        let before = harness.asked();
        harness.purge();
        let found = harness.call("my").ok().expect("it lands");
        assert!(number(&found.entry) > before, "answered with what was forgotten");
        outcomes(callers);
        harness.wait_until_quiet();
        let asked = harness.asked();
        assert!(asked <= 2, "one call before, one after");
        let kept = harness.call("my").ok().expect("it is kept");
        assert!(number(&kept.entry) > before, "kept what was forgotten");
        assert_eq!(harness.asked(), asked, "what came after the purge is kept");
    });
}

#[test]
fn an_id_that_two_regions_have_is_ambiguous() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::Found, metrics);
        let conflicts = || -> u64 {
            let regions = harness.regions.all();
            regions.iter().map(|region| harness.metrics.region(region).drift[DriftKind::Conflict].get()).sum()
        };
        let before = conflicts();
        let (my, ph) = (harness.callers("my", 2), harness.callers("ph", 2));
        outcomes(my);
        outcomes(ph);
        harness.wait_until_quiet();
        let anywhere = harness.find(harness.ask(None, false));
        assert!(anywhere.is_err_and(|missed| matches!(missed.failure, Failure::Ambiguous)));
        assert_eq!(conflicts() - before, 1);
    });
}

#[test]
fn a_regions_no_is_kept_until_a_purge() {
    explore(|metrics| {
        let harness = Harness::over(|| Answer::Absent, metrics);
        let callers = harness.callers("my", 2);
        let purge = {
            let harness = Arc::clone(&harness);
            thread::spawn(move || harness.purge())
        };
        for outcome in outcomes(callers) {
            assert!(outcome.is_err_and(|missed| matches!(missed.failure, Failure::NotFound(_))));
        }
        purge.join().unwrap();
        harness.wait_until_quiet();
        assert!(harness.asked() <= 2);
        harness.purge();
        let asked = harness.asked();
        let outcome = harness.call("my");
        assert!(matches!(outcome, Err(Missed { source: Source::Miss(_), .. })), "not from memory");
        assert_eq!(harness.asked(), asked + 1);
        harness.wait_until_quiet();
    });
}

/// Every way to end: callers are told, the key is free, and the next fill lands.
fn every_end(metrics: &Arc<Metrics>) {
    let answer = || match shuttle::rand::thread_rng().gen_range(0..3) {
        0 => Answer::Panic,
        1 => Answer::Absent,
        _ => Answer::Found,
    };
    let harness = Harness::over(answer, metrics);
    let callers = harness.callers("my", 2);
    let refresh = {
        let harness = Arc::clone(&harness);
        thread::spawn(move || harness.refresh("my").is_ok())
    };
    let purge = {
        let harness = Arc::clone(&harness);
        thread::spawn(move || harness.purge())
    };
    outcomes(callers);
    refresh.join().unwrap();
    purge.join().unwrap();
    harness.wait_until_quiet();
    assert!(
        harness.upstream.most.load(Ordering::SeqCst) <= 3,
        "one of each: older, refresh, after the purge"
    );
    let mut tries = 0..100;
    while is_cut_off(&harness) {
        assert!(tries.next().is_some(), "the next fill lands sooner or later");
    }
    harness.wait_until_quiet();
}

fn is_cut_off(harness: &Harness) -> bool {
    let internal =
        |failure: &Failure| matches!(failure, Failure::Upstream(_, Fault { kind: Kind::Internal, .. }));
    harness.call("my").is_err_and(|missed| internal(&missed.failure))
}

#[test]
fn when_a_fill_panics_its_callers_are_told_and_its_key_is_free() {
    explore(every_end);
}

#[test]
fn when_a_fill_is_cut_off_its_callers_are_told_and_its_key_is_free() {
    ENDS_EARLY.set(true);
    explore(every_end);
    ENDS_EARLY.set(false);
}
