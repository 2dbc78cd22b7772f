"""Where we say something else on purpose: whose case it is, and why.

Each entry is about cases that are named, by source, rule and object or file (patterns, as a whole). One that
no case needs any more is told of, so that no excuse outlives its cause. docs/check.md has the same for those
who read that page.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    source: str
    rule: str
    about: str
    # "missed": they tell of it and we do not; "extra": we do and they do not.
    outcome: str
    why: str

    def is_of(self, case, outcome):
        given = (case.source, case.rule, case.about, outcome)
        return all(map(re.fullmatch, (self.source, self.rule, self.about, self.outcome), given))


TCP = (
    "liveness and readiness are one tcpSocket, which asks only whether somebody listens: nothing that makes a pod "
    "unready for a moment, such as a dependency, fails it, and a process that no longer listens is dead by any "
    "measure"
)
NEITHER = (
    "a budget with neither bound expects no pod, and the controller then allows no eviction (pkg/controller/"
    "disruption: getExpectedPodCount, updatePdbStatus)"
)

DIFFERENT = [
    Difference(
        "kube-linter", "(liveness|readiness|startup)-port", "fire-deployment-(int|grpc)", "missed",
        "a probe asks by number a port that the container does not declare: containerPort is information only "
        "(core/v1: Container.ports), and ports for health checks are often left out; a name that no port has, and "
        "a number with the digits of a declared one in another order, are told",
    ),
    Difference("kube-score", "Pod Probes Identical", r"pod-probes-identical-tcp\.yaml", "missed", TCP),
    Difference("kyverno", "other/ensure-probes-different", "mydeploy-2", "missed", TCP),
    Difference("polaris", "pdbDisruptionsIsZero", r"success\.none\.yaml", "extra", NEITHER),
    Difference("kyverno", "other/pdb-maxunavailable", "good-pdb-none", "extra", NEITHER),
    Difference(
        "polaris", "pdbDisruptionsIsZero", r"success\.both\.yaml", "extra",
        "minAvailable and maxUnavailable are both set: the API refuses the budget (policy validation), and the pods "
        "are without one",
    ),
    Difference(
        "polaris", "pdbMinAvailableGreaterThanHPAMinReplicas", r"success\.equals\.yaml", "extra",
        "minAvailable is as much as the autoscaler's minimum: while it keeps to that, none may be evicted",
    ),
    Difference(
        "polaris", "pdbMinAvailableGreaterThanHPAMinReplicas", r"success\.no-min-replicas\.yaml", "extra",
        "minAvailable 2 is more than the autoscaler's minimum: without minReplicas that is 1, the API's default",
    ),
    Difference(
        "polaris", "hpaMinAvailability", r"success\.minReplicaAbsent\.yaml", "extra",
        "an autoscaler without minReplicas may leave one pod: 1 is the API's default",
    ),
    Difference(
        "kyverno", "best-practices/require-probes", "goodpod04", "extra",
        "it has a liveness probe only, which restarts the container and keeps no request away from it meanwhile",
    ),
    Difference(
        "datree", "CONTAINERS_MISSING_PRESTOP_KEY", r"60-pass\.yaml", "extra",
        "the hook is `nginx -s quit`, which is over at once and is itself the end of accepting: new connections that "
        "still come are refused; any hook is enough for the rule, of whatever it does",
    ),
    Difference(
        "datree", "ARGO_ROLLOUT_INCORRECT_SCALE_DOWN_DELAY_VALUE_BELOW_30", r"42-fail\.yaml", "missed",
        "three seconds are enough for a kube-proxy, which is all that is in front there (1.2 s); the rule asks for 30 "
        "whatever is in front, we for what that needs",
    ),
    Difference(
        "kubescape", "mismatching-selector", "mismatching-selector-rc", "missed",
        "ReplicationControllers are not read, as a note says (kind-not-judged): they have no rolling update",
    ),
]
