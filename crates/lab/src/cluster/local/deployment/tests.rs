use proptest::prelude::*;

use super::{
    super::IntOrPercent::{Int, Percent},
    *,
};

fn set(id: usize, spec: u32, available: u32) -> ReplicaSet {
    ReplicaSet { id, spec, current: spec, available }
}

fn bounds(replicas: u32) -> Fenceposts {
    Fenceposts::resolve(replicas, Percent(25), Percent(25))
}

#[test]
fn rule_3_3_a_new_replica_set_is_born_with_the_surge() {
    assert_eq!(initial_replicas(bounds(4), &[set(0, 4, 4)]), 1);
    assert_eq!(initial_replicas(bounds(4), &[set(0, 2, 2)]), 3);
    assert_eq!(initial_replicas(bounds(4), &[]), 4);
    assert_eq!(initial_replicas(Fenceposts::resolve(4, Int(0), Int(1)), &[set(0, 4, 4)]), 0);
}

#[test]
fn recreate_clears_first_and_waits_for_pods_that_terminate() {
    assert_eq!(clear(&[set(0, 4, 4)], 4), Some(vec![Scale { id: 0, to: 0 }]));
    assert_eq!(clear(&[set(0, 0, 0)], 1), Some(vec![]), "nothing to order, and not yet over");
    assert_eq!(clear(&[set(0, 0, 0)], 0), None);
    assert_eq!(clear(&[], 0), None);
}

#[test]
fn rules_3_2_to_3_6_one_step_a_sync() {
    // Four replicas at 25/25: (new, old, what the sync does)
    let table = [
        // Rule 3.6: the first old pod dies before any new one is Ready.
        (set(1, 1, 0), set(0, 4, 4), vec![Scale { id: 0, to: 3 }]),
        // Up before down.
        (set(1, 1, 0), set(0, 3, 3), vec![Scale { id: 1, to: 2 }]),
        // Rule 3.4: two new ones that are not available close the gate.
        (set(1, 2, 0), set(0, 3, 3), vec![]),
        (set(1, 2, 1), set(0, 3, 3), vec![Scale { id: 0, to: 2 }]),
        (set(1, 2, 2), set(0, 3, 3), vec![Scale { id: 0, to: 1 }]),
        (set(1, 2, 2), set(0, 1, 1), vec![Scale { id: 1, to: 4 }]),
        (set(1, 4, 3), set(0, 1, 1), vec![Scale { id: 0, to: 0 }]),
        (set(1, 4, 4), set(0, 0, 0), vec![]),
        // Rule 3.5: an old pod that is not available goes within the gate, although only
        // three are available.
        (set(1, 1, 0), set(0, 4, 3), vec![Scale { id: 0, to: 3 }]),
        // Scaled down: fewer replicas are wanted than the new one has.
        (set(1, 6, 6), set(0, 0, 0), vec![Scale { id: 1, to: 4 }]),
    ];
    for (new, old, expected) in table {
        assert_eq!(sync(bounds(4), &new, &[old]), expected, "new {new:?} old {old:?}");
    }
}

#[test]
fn rule_3_5_the_unhealthy_first_and_then_the_oldest() {
    let bounds = Fenceposts::resolve(10, Int(5), Int(2));
    // 15 in all, none unavailable among the new ones: the gate is 15 - 8 = 7.
    let old = [set(0, 4, 4), set(1, 6, 3)];
    let new = set(2, 5, 5);
    // Unhealthy: set 1 from 6 to 3. Then 12 available - 8 = 4 from the oldest.
    assert_eq!(sync(bounds, &new, &old), vec![Scale { id: 0, to: 0 }, Scale { id: 1, to: 3 }]);
}

#[test]
fn rule_3_1_a_single_replica_starts_its_successor_first() {
    assert_eq!(sync(bounds(1), &set(1, 1, 0), &[set(0, 1, 1)]), vec![]);
    assert_eq!(sync(bounds(1), &set(1, 1, 1), &[set(0, 1, 1)]), vec![Scale { id: 0, to: 0 }]);
}

#[test]
fn rule_3_7_the_deadline_only_reports() {
    let second = Duration::from_secs(1);
    assert_eq!(progress(false, second, 600 * second), ProgressCondition::Progressing);
    assert_eq!(progress(false, 601 * second, 600 * second), ProgressCondition::DeadlineExceeded);
    assert_eq!(progress(true, 601 * second, 600 * second), ProgressCondition::Complete);
}

#[test]
fn complete_counts_pods_and_not_only_orders() {
    let bounds = bounds(4);
    assert!(complete(bounds, &set(1, 4, 4), &[set(0, 0, 0)]));
    assert!(!complete(bounds, &set(1, 4, 3), &[set(0, 0, 0)]));
    let leaving = ReplicaSet { id: 0, spec: 0, current: 1, available: 1 };
    assert!(!complete(bounds, &set(1, 4, 4), &[leaving]));
}

/// A model of the pods: orders are carried out at once, new pods become available one by one
/// and old ones may fall ill.
#[derive(Debug, Clone)]
struct Model {
    sets: Vec<ReplicaSet>,
}

impl Model {
    fn split(&self) -> (ReplicaSet, &[ReplicaSet]) {
        let (new, old) = self.sets.split_last().expect("a model has a new set");
        (*new, old)
    }

    fn carry_out(&mut self, orders: &[Scale]) {
        for order in orders {
            let set = &mut self.sets[order.id];
            // Victims are unready first (rule 3.9).
            set.spec = order.to;
            set.current = order.to;
            set.available = set.available.min(order.to);
        }
    }

    fn total(&self) -> u32 {
        self.sets.iter().map(|set| set.spec).sum()
    }

    fn available(&self) -> u32 {
        self.sets.iter().map(|set| set.available).sum()
    }
}

proptest! {
    /// Facts 8.2 and 8.3: the bounds hold at every event, and it always converges.
    #[test]
    fn never_beyond_the_bounds_and_always_to_the_end(
        replicas in 0_u32..24,
        surge in prop_oneof![(0_u32..6).prop_map(Int), (0_u32..=100).prop_map(Percent)],
        unavailable in prop_oneof![(0_u32..6).prop_map(Int), (0_u32..=100).prop_map(Percent)],
        mut old in prop::collection::vec((0_u32..12, 0_u32..12), 0..4),
        luck in prop::collection::vec(any::<u8>(), 64),
    ) {
        // Old sets that together have at most the replicas, some of them unavailable.
        let bounds = Fenceposts::resolve(replicas, surge, unavailable);
        let mut left = replicas;
        for (spec, available) in &mut old {
            *spec = (*spec).min(left);
            *available = (*available).min(*spec);
            left -= *spec;
        }
        let mut model = Model {
            sets: old.iter().enumerate().map(|(id, &(spec, ok))| set(id, spec, ok)).collect(),
        };
        let born = initial_replicas(bounds, &model.sets);
        model.sets.push(set(model.sets.len(), born, 0));
        let floor = model.available().min(bounds.min_available());
        let mut luck = luck.iter().cycle();
        let mut steps = 0;
        loop {
            let (new, old) = model.split();
            if complete(bounds, &new, old) {
                break;
            }
            let orders = sync(bounds, &new, old);
            model.carry_out(&orders);
            prop_assert!(model.total() <= bounds.max_total());
            prop_assert!(model.available() >= floor, "{model:?}");
            let new = model.sets.last_mut().expect("a model has a new set");
            if orders.is_empty() || luck.next().is_some_and(|byte| byte % 2 == 0) {
                // With nothing to order, waiting must bring it on.
                prop_assert!(!orders.is_empty() || new.available < new.spec, "stuck: {model:?}");
                new.available = (new.available + 1).min(new.spec);
            }
            steps += 1;
            prop_assert!(steps < 500, "no end: {model:?}");
        }
    }
}
