"""Which rules of others mean the same as which of ours; those that are not here mean nothing that we have."""

from . import Same


def same(*rules, kinds=(), saying=""):
    return Same(frozenset(rules), frozenset(kinds), saying)


WORKLOADS = ("Deployment", "DeploymentConfig", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "CronJob")

# Not a rule: what `websample check` lists as a problem, a document or field that is none.
UNREADABLE = "(unreadable)"

GONE = same("removed-api", "unknown-api")
BLOCKS = same("disruption-budget-blocks", "disruption-budget-refused", kinds=["PodDisruptionBudget"])
ONE_POD = same("single-replica", "no-pod-left")
SELECTOR = same("selector-mismatch", "api-refuses", kinds=WORKLOADS)
# What names something that is not there. A note that nothing of its kind was read is not the same.
ROUTE = same("route-service-missing", "route-port-unknown", "route-port-of-pod", "api-refuses", "unknown-field",
             kinds=["Ingress", "HTTPRoute", "TCPRoute", "UDPRoute"])
PODS = same("service-selects-nothing", "service-without-pods", kinds=["Service"])
SCALED = same("autoscaler-target-missing", "autoscaler-target-unknown", kinds=["HorizontalPodAutoscaler"])
REFERENCES = (ROUTE, PODS, SCALED)
PROBED_PORT = same("unknown-port-name", "probe-port-undeclared", "probe-of-udp-port")
NO_BUDGET = same("no-disruption-budget")
NO_PROBE = same("no-readiness-probe")

KUBE_LINTER = {
    "dangling-service": PODS,
    "dangling-ingress": ROUTE,
    "dangling-hpa": SCALED,
    "invalid-target-ports": same("api-refuses", kinds=["Service", "Deployment"]),
    "liveness-port": PROBED_PORT,
    "readiness-port": PROBED_PORT,
    "startup-port": PROBED_PORT,
    "mismatching-selector": same("selector-mismatch", "api-refuses", kinds=["Deployment", "DeploymentConfig"]),
    "no-readiness-probe": same(*NO_PROBE.rules, kinds=["Deployment", "DeploymentConfig"]),
    # Its test has no Recreate, only a type that there is not, of which we say that it cannot be read.
    "no-rolling-update-strategy": same(
        "strategy-recreate", UNREADABLE, kinds=["Deployment", "DeploymentConfig"], saying="strategy|stops all"
    ),
    "no-extensions-v1beta": GONE,
    "pdb-max-unavailable": BLOCKS,
    "pdb-min-available": BLOCKS,
}
KUBE_SCORE = {
    "Pod Probes": same("no-readiness-probe", "liveness-like-readiness"),
    "Pod Probes Identical": same("liveness-like-readiness"),
    "Container Ports Check": same("api-refuses", saying="port"),
    "Stable version": GONE,
    "Service Targets Pod": PODS,
    "Ingress targets Service": ROUTE,
    "HorizontalPodAutoscaler has target": SCALED,
    "Deployment has PodDisruptionBudget": NO_BUDGET,
    "StatefulSet has PodDisruptionBudget": NO_BUDGET,
    "PodDisruptionBudget has policy": BLOCKS,
    "Deployment Strategy": same("strategy-recreate"),
    "Deployment Replicas": ONE_POD,
    "HorizontalPodAutoscaler Replicas": ONE_POD,
    "Deployment targeted by HPA does not have replicas configured": same("replicas-and-autoscaler"),
    "StatefulSet Pod Selector labels match template metadata labels": SELECTOR,
    "Deployment Pod Selector labels match template metadata labels": SELECTOR,
}
POLARIS = {
    "readinessProbeMissing": NO_PROBE,
    "missingPodDisruptionBudget": NO_BUDGET,
    "pdbDisruptionsIsZero": BLOCKS,
    # Of budgets that block without an autoscaler it has nothing to say; more than all of the pods the API refuses.
    "pdbMinAvailableGreaterThanHPAMinReplicas": same(
        "disruption-budget-blocks", "disruption-budget-refused", saying="autoscaler|more than 100%"
    ),
    "deploymentMissingReplicas": ONE_POD,
    "hpaMinAvailability": ONE_POD,
    # Not nakedPod: the folder has a check of its own, which is about a label.
}
KYVERNO = {
    "best-practices/check-deprecated-apis": GONE,
    "best-practices/require-probes": NO_PROBE,
    "other/ensure-probes-different": same("liveness-like-readiness"),
    "other/pdb-maxunavailable": BLOCKS,
    "other/pdb-minavailable": BLOCKS,
    "other/prevent-bare-pods": same("bare-pod"),
    "other/require-deployments-have-multiple-replicas": ONE_POD,
}
DATREE = {
    "CONTAINERS_MISSING_READINESSPROBE_KEY": NO_PROBE,
    "CONTAINERS_MISSING_PRESTOP_KEY": same("endpoint-race"),
    "DEPLOYMENT_INCORRECT_REPLICAS_VALUE": ONE_POD,
    "K8S_INCORRECT_KIND_VALUE_POD": same("bare-pod"),
    "ARGO_ROLLOUT_INCORRECT_SCALE_DOWN_DELAY_VALUE_BELOW_30": same("scale-down-delay-too-short"),
    # What the API requires, and what it refuses.
    "HPA_MISSING_MAXREPLICAS_KEY": same("api-refuses", saying="maxReplicas"),
    "WORKLOAD_INVALID_LABELS_VALUE": same("api-refuses", saying="label"),
    **{f"K8S_DEPRECATED_APIVERSION_1.{minor}": GONE for minor in (16, 17, 19, 21, 22, 23, 24)},
    **{f"K8S_REMOVED_APIVERSION_1.{minor}": GONE for minor in (22, 23, 24, 25, 26, 27)},
}
KUBESCAPE = {
    "configured-readiness-probe": same(*NO_PROBE.rules, kinds=WORKLOADS),
    "dangling-gateway-backend": ROUTE,
    "dangling-ingress-backend": ROUTE,
    "hpa-has-target": SCALED,
    "mismatching-selector": SELECTOR,
    "naked-pods": same("bare-pod", kinds=["Pod"]),
    "no-rolling-update-strategy": same("strategy-recreate", kinds=["Deployment"]),
    "service-with-no-workload": PODS,
}
