//! What is in front of a workload: who sends requests to its pods, and how long each may go on sending
//! to one that is deleted. That is how long a pod has to go on accepting.

mod gateway;
mod ingress;
mod load_balancer;
mod sender;

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;

pub use self::sender::Sender;
use super::{
    index::Index,
    objects::{Object, Objects, Origin},
};

/// Something that sends requests to the pods of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// What it is.
    pub sender: Sender,
    /// The objects by which it does, such as `Ingress shop/web`.
    pub via: Vec<String>,
    /// How long it may go on sending to a pod that is deleted; `None` is not known.
    pub needs: Option<Duration>,
    /// How long it lets a request go on that is in flight, where that is written.
    pub(super) drains: Option<Duration>,
}

/// Steps in which a sleep is chosen, which leave something beside what was measured.
const STEP: u64 = 5;

/// What sends to the pods behind these Services, who needs the longest first.
pub(super) fn in_front<'a>(
    services: &[&'a Object<Service>],
    beside: &'a Origin,
    objects: &'a Objects,
    index: &Index<'a>,
) -> Vec<Front> {
    let mut fronts: Vec<Front> = Vec::new();
    let mut add = |sender: Sender, needs: Option<Duration>, drains, origin: &Origin| {
        let via = origin.title();
        match fronts.iter_mut().find(|front| front.sender == sender && front.needs == needs) {
            Some(front) if front.via.contains(&via) => {}
            Some(front) => front.via.push(via),
            None => fronts.push(Front { sender, via: vec![via], needs, drains }),
        }
    };
    for service in services {
        for (sender, needs) in load_balancer::senders(service) {
            add(sender, needs, load_balancer::drains(&service.origin), &service.origin);
        }
        let namespace = service.origin.namespace.as_deref().or(beside.namespace.as_deref());
        for route in index.routes(&service.origin.name, namespace) {
            let sender = match route.origin.kind.as_str() {
                "Ingress" => Some(ingress::sender(route, service, objects)),
                "Route" => Some(Sender::OpenShiftRouter),
                _ => gateway::sender(route, objects),
            };
            // A route that is attached to nothing is carried out by nobody.
            let Some(sender) = sender else { continue };
            let drains = load_balancer::drains(&route.origin)
                .or_else(|| load_balancer::drains(&service.origin));
            add(sender, sender.needs(), drains, &route.origin);
        }
    }
    fronts.sort_by_key(|front| std::cmp::Reverse(front.needs));
    fronts
}

/// The right sleep for what needs so long: more than that, and at least [`STEP`].
pub(super) fn right_sleep(needs: Duration) -> Duration {
    let seconds = super::checks::whole_seconds(needs).max(1);
    Duration::from_secs(seconds.div_ceil(STEP) * STEP)
}

/// The value of an annotation as a number.
fn number(origin: &Origin, annotation: &str) -> Option<u64> {
    origin.annotation(annotation)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_the_next_step_above_what_is_needed() {
        for (needs, right) in
            [(0, 5), (1_200, 5), (4_300, 5), (5_000, 5), (5_001, 10), (19_000, 20)]
        {
            let right = Duration::from_secs(right);
            assert_eq!(right_sleep(Duration::from_millis(needs)), right, "{needs}");
        }
    }
}
