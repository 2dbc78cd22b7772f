"""What others say of their own test files: each reader takes a checkout and yields cases."""

import collections
import json
import re
import sys
from dataclasses import replace

import yaml

from . import Case, rules


def documents(path):
    """The objects of a file."""
    try:
        return [d for d in yaml.safe_load_all(path.read_text()) if isinstance(d, dict)]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return []


def name(document):
    return (document.get("metadata") or {}).get("name", "")


# What its files do not say by the name `dont-fire`: from e2etests/bats-tests.sh.
FIRES = {
    "no-extensions-v1beta": lambda document: "extensions/" in document["apiVersion"],
    "no-rolling-update-strategy": lambda document: bool((document.get("spec") or {}).get("strategy")),
    "invalid-target-ports": lambda document: name(document) == "invalid-target-ports",
    "pdb-max-unavailable": lambda document: name(document) == "foo",
    "pdb-min-available": lambda document: True,
    "dangling-hpa": lambda document: name(document) == "hpa1",
}


def kube_linter(folder):
    """A file for each rule; the names of objects, or of containers, say which of them break it."""
    for rule, same in rules.KUBE_LINTER.items():
        file = next(f for f in (folder / "tests/checks").iterdir() if f.stem == rule)
        whole = documents(file)
        if same is rules.PROBED_PORT:
            for container in (c for d in whole for c in d["spec"]["template"]["spec"]["containers"]):
                about = container["name"]
                yield Case("kube-linter", rule, same, whole, about, about.startswith("fire"), "container")
            continue
        fires = FIRES.get(rule, lambda document: not name(document).startswith("dont-fire"))
        labels = collections.defaultdict(bool)
        for document in whole:
            if not same.kinds or document.get("kind") in same.kinds:
                labels[(name(document), document["kind"])] |= fires(document)
        for (about, kind), label in labels.items():
            yield Case("kube-linter", rule, replace(same, kinds=frozenset([kind])), whole, about, label, "object")


# A file, what the run is configured to, the rule and the grade; of two ways to write it.
SCORES = re.compile(
    r'testExpectedScore\(t, "(?P<one>[^"]+)", "(?P<rule>[^"]+)", scorecard\.Grade(?P<grade>\w+)\)'
    r'|testExpectedScoreWithConfig\(t, \[\]ks\.NamedReader\{testFile\("(?P<other>[^"]+)"\)\}, nil,'
    r'(?P<config>[^"]*), "(?P<rule2>[^"]+)", scorecard\.Grade(?P<grade2>\w+)\)'
)


def kube_score(folder):
    """Its tests in Go name a file, a rule and the grade that is expected.

    Of a file that is judged for several releases of Kubernetes the newest counts, for we judge by what is
    current; and of the least number of replicas, which can be configured there, ours, which is two.
    """
    newest = {}
    for test in sorted((folder / "score").rglob("*_test.go")):
        for call in SCORES.finditer(test.read_text()):
            config = call["config"] or ""
            release = re.search(r"Minor: (\d+)", config)
            least = re.search(r"MinReplicas\w+: (\d+)", config)
            key = (call["rule"] or call["rule2"], call["one"] or call["other"])
            # Its default is 1.18 (config.RunConfiguration).
            at = int(release[1]) if release else 18
            if (least is None or least[1] == "2") and at >= newest.get(key, (0, ""))[0]:
                newest[key] = (at, call["grade"] or call["grade2"])
    for (rule, file), (_, grade) in newest.items():
        path = folder / "score/testdata" / file
        if rule in rules.KUBE_SCORE and path.is_file():
            fires = grade in ("Critical", "Warning")
            yield Case("kube-score", rule, rules.KUBE_SCORE[rule], documents(path), file, fires)


def polaris(folder):
    """A folder for each rule; the names of files say whether they break it."""
    for rule, same in rules.POLARIS.items():
        for file in sorted((folder / "test/checks" / rule).iterdir()):
            if file.name.startswith(("success", "failure")):
                yield Case("polaris", rule, same, documents(file), file.name, file.name.startswith("failure"))


def kyverno(folder):
    """A test beside each policy names resources and results."""
    for rule, same in rules.KYVERNO.items():
        place = folder / rule / ".kyverno-test"
        for test in documents(place / "kyverno-test.yaml"):
            files = [place / file for file in test.get("resources", [])]
            whole = [d for file in files if file.is_file() for d in documents(file)]
            budgets = minimums(place / test["variables"]) if "variables" in test else {}
            wanted = {}
            for result in test.get("results", []):
                # Of a policy with several rules one that fails is enough.
                for resource in result.get("resources", []):
                    key = (result.get("kind"), resource.split("/")[-1])
                    if result.get("result") in ("pass", "fail"):
                        wanted[key] = wanted.get(key, False) or result["result"] == "fail"
            for (kind, about), fires in wanted.items():
                own = [d for d in whole if name(d) == about]
                if own and rule == "other/pdb-minavailable":
                    # It judges a workload by a budget that its values stand for; we judge the budget.
                    kind = "PodDisruptionBudget"
                    whole_of_it = own + [budget(d, budgets[about]) for d in own if about in budgets]
                else:
                    whole_of_it = whole
                if own:
                    of_kind = replace(same, kinds=frozenset([kind]))
                    yield Case("kyverno", rule, of_kind, whole_of_it, about, fires, "object")


def minimums(values):
    """By resource the minAvailable that the values of a test say its budget has."""
    found = {}
    for policy in (policy for document in documents(values) for policy in document.get("policies", [])):
        said = [rule["values"]["minavailable"] for rule in policy.get("rules", []) if "minavailable" in rule["values"]]
        for resource in policy.get("resources", []):
            found.update({resource["name"]: int(least) for least in said})
    return found


def budget(workload, least):
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name(workload), "namespace": workload["metadata"].get("namespace")},
            "spec": {"minAvailable": least, "selector": {"matchLabels": labels}}}


def datree(folder):
    """A folder of files that pass and one of files that fail for each rule, by its number."""
    numbers = documents(folder / "pkg/defaultRules/defaultRules.yaml")[0]["rules"]
    numbers = {rule["uniqueName"]: str(rule["id"]) for rule in numbers}
    for rule, same in rules.DATREE.items():
        for label in ("pass", "fail"):
            for file in sorted((folder / "pkg/policy/tests" / numbers[rule] / label).iterdir()):
                yield Case("datree", rule, same, documents(file), file.name, label == "fail")


def kubescape(folder):
    """Folders of input for each rule, with the objects that are expected to break it in a file beside them."""
    for rule, same in rules.KUBESCAPE.items():
        for expected in sorted((folder / "rules" / rule / "test").glob("*/expected.json")):
            alerts = json.loads(expected.read_text()) or []
            broken = {(o["kind"], name(o)) for alert in alerts for o in alert["alertObject"]["k8sApiObjects"]}
            whole = [d for file in sorted((expected.parent / "input").iterdir()) for d in documents(file)]
            for document in (d for d in whole if d["kind"] in same.kinds):
                key = (document["kind"], name(document))
                of_kind = replace(same, kinds=frozenset([document["kind"]]))
                yield Case("kubescape", rule, of_kind, whole, key[1], key in broken, "object")


READERS = {"kube-linter": kube_linter, "kube-score": kube_score, "polaris": polaris, "kyverno": kyverno,
           "datree": datree, "kubescape": kubescape}
# Where they come from.
REPOSITORIES = {"kube-linter": "stackrox/kube-linter", "kube-score": "zegl/kube-score",
                "polaris": "FairwindsOps/polaris", "kyverno": "kyverno/policies", "datree": "datreeio/datree",
                "kubescape": "kubescape/regolibrary"}
