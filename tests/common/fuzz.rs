//! Random input for a bounded time: a moment in the tests, and as long as somebody wants by
//! `scripts/fuzz`.

use std::time::{Duration, Instant};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};

/// How long a target runs, in seconds; a fixed number of cases where it is not set.
const SECONDS: &str = "WEBSAMPLE_FUZZ_SECONDS";

/// Cases of an everyday run.
const CASES: u32 = 300;

/// Tries a property with random values, and shows the smallest that breaks it.
pub(crate) fn fuzz<S: Strategy>(
    target: &str,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let seconds = std::env::var(SECONDS).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{SECONDS}={text} is no number of seconds"))
    });
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut cases = 0_u64;
    loop {
        // Nothing is written beside the sources: what is found is printed.
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        match TestRunner::new(config).run(strategy, &property) {
            Ok(()) => cases += u64::from(CASES),
            Err(TestError::Fail(why, value)) => {
                panic!("{target}: {why}\nafter {cases} cases, with {value:#?}")
            }
            Err(error) => panic!("{target}: {error}"),
        }
        let Some(seconds) = seconds else { return };
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!("{target}: {cases} cases in {} s, nothing found", start.elapsed().as_secs());
        }
        if start.elapsed() >= Duration::from_secs(seconds) {
            println!("{target}: {cases} cases in {} s, nothing found", start.elapsed().as_secs());
            return;
        }
    }
}
