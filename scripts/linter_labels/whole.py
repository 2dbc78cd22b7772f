"""Makes a case whole: many files are fragments, and some of another time.

What the API requires and they leave out is put in (selectors, labels, a container), and so is what has to
be there for the rule to be judged, each for the reason that is said here. What a file says itself is left as
it is, but for the version, where the rule is not about versions: of one that is gone nothing else is judged.
"""

import json

from . import rules

CURRENT = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Service": "v1",
           "PodDisruptionBudget": "policy/v1", "HorizontalPodAutoscaler": "autoscaling/v2",
           "Ingress": "networking.k8s.io/v1"}
# The name of what is put beside a file.
SOUND = "sound"
PORT = {"name": "http", "containerPort": 8080}


def whole(case):
    """What `websample check` is given for a case."""
    own = [completed(document, case) for document in case.documents]
    if case.rule in ("hpaMinAvailability", "HorizontalPodAutoscaler Replicas"):
        # How many pods an autoscaler leaves is told of what it scales.
        own += [scaled(document) for document in own if document.get("kind") == "HorizontalPodAutoscaler"]
    if case.same.rules == rules.NO_PROBE.rules and case.source != "kube-score":
        # They ask for probes everywhere, we where requests come to.
        own += [sending(document) for document in own if pods(document) is not None]
    # A file without a workload is refused as nothing to check: a sound one of another namespace.
    around = [deployment(SOUND, "sound-apart", {"name": "metrics", "containerPort": 1})]
    if any(case.same.rules == references.rules for references in rules.REFERENCES):
        # That something is missing can be told only where others of its kind were read beside it.
        for namespace in {(d.get("metadata") or {}).get("namespace") for d in own}:
            around += [deployment(SOUND, namespace, PORT), service(SOUND, namespace)]
    return own + around


def is_beside(finding):
    """Whether a finding is about what `whole` put beside the file."""
    return finding["name"] == SOUND


def completed(document, case):
    """An object with what the API requires, of a version that there is; as it is, where versions are the rule."""
    document = json.loads(json.dumps(document, default=str))
    kind = document.get("kind")
    if case.same is rules.GONE:
        return document
    if document.get("apiVersion") != "autoscaling/v1":
        if kind == "Ingress" and document.get("apiVersion") != CURRENT[kind]:
            current_ingress(document)
        document["apiVersion"] = CURRENT.get(kind, document.get("apiVersion"))
    spec = document.setdefault("spec", {}) if isinstance(document.get("spec", {}), dict) else {}
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "DeploymentConfig", "Rollout"):
        selected(document, spec, case)
        pod = spec["template"].setdefault("spec", {})
        if case.same is rules.NO_BUDGET:
            # Of one pod a budget would block every drain, which is told as `single-replica`.
            spec.setdefault("replicas", 2)
    elif kind == "Pod":
        pod = spec
    else:
        return document
    containers = pod.setdefault("containers", []) or [{}]
    pod["containers"] = containers
    for index, container in enumerate(containers):
        container.setdefault("name", f"app-{index}")
        container.setdefault("image", "app")
        # Whether probes and budgets are asked for depends on whether requests come. kube-score asks for
        # probes where a Service sends, the others everywhere; ports are what the rules of ports are about.
        by_service = case.source == "kube-score" and case.same is not rules.NO_BUDGET
        if not by_service and case.same is not rules.PROBED_PORT:
            container.setdefault("ports", [PORT])
    return document


def selected(document, spec, case):
    """A selector and labels, where one of them or both are left out."""
    kind = document["kind"]
    template = spec.setdefault("template", {})
    label = {"app": (document.get("metadata") or {}).get("name") or "app"}
    given = bool(spec.get("selector"))
    if not given:
        labels = template.setdefault("metadata", {}).get("labels") or label
        template["metadata"]["labels"] = labels
        spec["selector"] = labels if kind == "DeploymentConfig" else {"matchLabels": labels}
    elif case.rule.startswith("pdb"):
        selector = spec["selector"]
        wanted = selector if kind == "DeploymentConfig" else selector.get("matchLabels")
        template.setdefault("metadata", {}).setdefault("labels", dict(wanted or label))


def pods(document):
    """What says of which labels and containers the pods of a workload are, if it is one with labels."""
    whole = document if document.get("kind") == "Pod" else (document.get("spec") or {}).get("template") or {}
    return whole if (whole.get("metadata") or {}).get("labels") and whole.get("spec") else None


def sending(workload):
    """A Service that sends requests to a workload."""
    to = pods(workload)
    ports = [port for container in to["spec"]["containers"] for port in container.get("ports") or []]
    spec = {"selector": to["metadata"]["labels"],
            "ports": [{"name": "http", "port": 80, "targetPort": ports[0]["containerPort"]}]}
    return {"apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": named(workload["metadata"]["name"], workload["metadata"].get("namespace"))}


def current_ingress(document):
    """Of the versions that are gone the backend was written in another way."""
    def current(backend):
        if "serviceName" in backend:
            port = backend.pop("servicePort", None)
            port = {"number" if isinstance(port, int) else "name": port} if port is not None else {}
            backend["service"] = {"name": backend.pop("serviceName"), "port": port}

    spec = document.get("spec") or {}
    if "backend" in spec:
        spec["defaultBackend"] = spec.pop("backend")
        current(spec["defaultBackend"])
    for rule in spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            path.setdefault("pathType", "ImplementationSpecific")
            current(path.get("backend") or {})


def scaled(autoscaler):
    """What an autoscaler scales."""
    target = autoscaler["spec"]["scaleTargetRef"]
    return deployment(target["name"], (autoscaler.get("metadata") or {}).get("namespace"), PORT)


def deployment(name, namespace, port):
    labels = {"app": name}
    container = {"name": name, "image": name, "ports": [port]}
    spec = {"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named(name, namespace), "spec": spec}


def service(name, namespace):
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": named(name, namespace), "spec": spec}


def named(name, namespace):
    return {"name": name, "namespace": namespace} if namespace else {"name": name}
