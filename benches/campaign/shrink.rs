//! The simplest trial that still fails.

use std::path::Path;

use serde_json::{Map, Value};

use super::{judge::judge, run::run, trial::Trial};

/// A loss is a matter of milliseconds: so often is a simpler trial tried before it counts as one that
/// does not fail.
const TRIES: u32 = 3;

/// Leaves out of a trial whatever it still fails without, and returns what is left; tries at most so
/// many rollouts. `kind` is what has to be found.
pub(crate) async fn shrink(trial: &Trial, kind: &str, binary: &Path, mut rollouts: u32) -> Trial {
    let mut simplest = trial.clone();
    'simpler: loop {
        for simpler in simpler(&simplest) {
            for _ in 0..TRIES {
                if rollouts == 0 {
                    return simplest;
                }
                rollouts -= 1;
                let Ok(ran) = run(&simpler, binary).await else { break };
                if judge(&simpler, &ran).findings.iter().any(|finding| finding.kind == kind) {
                    simplest = simpler;
                    continue 'simpler;
                }
            }
        }
        return simplest;
    }
}

/// Every trial that says one thing less: a key as by default, a list without one of its items.
pub(crate) fn simpler(trial: &Trial) -> Vec<Trial> {
    let changes = trial.changes();
    let mut all: Vec<Map<String, Value>> = Vec::new();
    for (key, value) in &changes {
        // Another seed is no simpler.
        if key == "seed" {
            continue;
        }
        let mut without = changes.clone();
        without.remove(key);
        all.push(without);
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        for index in 0..items.len() {
            let rest: Vec<_> = [&items[..index], &items[index + 1..]].concat();
            if !rest.is_empty() {
                let mut shorter = changes.clone();
                shorter.insert(key.clone(), rest.into());
                all.push(shorter);
            }
        }
    }
    all.into_iter()
        .filter_map(|changes| serde_json::from_value(Value::Object(changes)).ok())
        .collect()
}
