//! What holds of flights in whatever order their steps come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::rand::Rng;
use shuttle::thread;

use super::flight::Landing;
use super::{Airport, Answer, ENDS_EARLY, landings, number, regions};
use crate::domain::drift::DriftKind;
use crate::domain::failure::Failure;
use crate::domain::region::RegionSet;
use crate::telemetry::metrics::Metrics;

/// So many orders: half of them at random, half that put off few threads for long. Metrics take longer to make than
/// most orders to run, so they are made once.
fn explore(scenario: fn(&Arc<Metrics>)) {
    let metrics = Arc::new(Metrics::new(regions().names(), &[]).unwrap());
    let scenario = move || {
        scenario(&metrics);
        assert_eq!(metrics.lookups.fills_in_flight.get(), 0);
    };
    shuttle::check_random(scenario.clone(), 500);
    shuttle::check_pct(scenario, 500, 3);
}

#[test]
fn whenever_callers_join_one_call_answers_them_all() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        for landing in landings(airport.callers("my", 3)) {
            assert!(matches!(landing, Some(Landing::Found(entry, true)) if number(&entry) == 1));
        }
        let counts = [&airport.started, &airport.upstream.asked].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(counts, [1, 1]);
        airport.check_is_quiet();
    });
}

#[test]
fn whenever_a_purge_comes_nothing_from_before_it_is_kept_or_shown_after_it() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        let callers = airport.callers("my", 2);
        let asked = || airport.upstream.asked.load(Ordering::SeqCst);
        // As often as not once the upstream works on it: that is when a purge is hardest to keep.
        let is_late = shuttle::rand::thread_rng().r#gen();
        while is_late && asked() == 0 {
            thread::yield_now();
        }
        let before = asked();
        airport.flights.purge(&airport.id);
        let Some(Landing::Found(entry, _)) = airport.call("my") else { panic!("it lands") };
        assert!(number(&entry) > before, "answered with what was forgotten");
        landings(callers);
        airport.check_is_quiet();
        let kept = airport.flights.memory().get(&airport.id).map(|entry| number(&entry));
        assert!(kept.is_some_and(|kept| kept > before), "kept what was forgotten: {kept:?}");
        assert!(asked() <= 2, "one call before, one after");
    });
}

#[test]
fn whenever_two_regions_land_the_id_is_nobodys() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        let conflicts = || -> u64 {
            let regions = airport.regions.all();
            regions.iter().map(|region| airport.metrics.region(region).drift(DriftKind::Conflict).get()).sum()
        };
        let before = conflicts();
        let (my, ph) = (airport.callers("my", 2), airport.callers("ph", 2));
        landings(my);
        landings(ph);
        airport.check_is_quiet();
        assert_eq!(airport.flights.learned().holders(&airport.id), airport.regions.all());
        let anywhere = airport.regions.route(None, airport.regions.all()).unwrap();
        let kept = airport.flights.memory().get(&airport.id);
        assert!(kept.is_none_or(|entry| !entry.serves(&anywhere)), "it is one region's for who named none");
        assert_eq!(conflicts() - before, 1);
    });
}

#[test]
fn whenever_a_region_does_not_have_it_that_is_known_until_a_purge() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Absent, metrics);
        let callers = airport.callers("my", 2);
        let purge = {
            let airport = Arc::clone(&airport);
            thread::spawn(move || airport.flights.purge(&airport.id))
        };
        let mut was_kept = false;
        for landing in landings(callers) {
            let Some(Landing::Failed(failure, is_kept)) = landing else { panic!("it lands") };
            assert!(matches!(failure, Failure::NotFound(_)));
            was_kept |= is_kept;
        }
        purge.join().unwrap();
        airport.check_is_quiet();
        assert!(airport.upstream.asked.load(Ordering::SeqCst) <= 2);
        let my = RegionSet::only(airport.region("my"));
        let absent = airport.flights.memory().absent(&airport.id, my);
        airport.flights.purge(&airport.id);
        assert!(absent.is_empty() || (absent == my && was_kept), "kept although nobody was told so");
        assert!(airport.flights.memory().absent(&airport.id, my).is_empty());
    });
}

/// Every way to end: callers are told, the key is free, and the next flight lands.
fn every_end(metrics: &Arc<Metrics>) {
    let answer = || match shuttle::rand::thread_rng().gen_range(0..3) {
        0 => Answer::Panic,
        1 => Answer::Absent,
        _ => Answer::Found,
    };
    let airport = Airport::over(answer, metrics);
    let callers = airport.callers("my", 2);
    let purge = {
        let airport = Arc::clone(&airport);
        thread::spawn(move || airport.flights.purge(&airport.id))
    };
    landings(callers);
    purge.join().unwrap();
    airport.check_is_quiet();
    assert!(airport.upstream.most.load(Ordering::SeqCst) <= 2, "one before the purge, one after");
    let mut tries = 0..100;
    while airport.call("my").is_none() {
        assert!(tries.next().is_some(), "the next one flies, sooner or later");
    }
}

#[test]
fn whenever_a_fill_panics_those_who_wait_are_told_and_the_key_is_free() {
    explore(every_end);
}

#[test]
fn whenever_a_flight_is_cut_off_those_who_wait_are_told_and_the_key_is_free() {
    ENDS_EARLY.set(true);
    explore(every_end);
    ENDS_EARLY.set(false);
}
