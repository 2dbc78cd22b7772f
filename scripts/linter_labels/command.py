"""Holds `websample check` against the labels of other linters' own test files.

Each of them has files of which it says which objects break a rule and which do not. Where a rule means
the same as one of ours, ours should find the same. The files stay where they are; give checkouts of

{repositories}

It needs python3 with PyYAML and a built `websample` (--websample, or target/release or target/debug).
Printed are the cases in which we differ, with what is on purpose by its reason, a table of the rules, and
precision and recall of each linter: as they say, and without what differs on purpose. The exit code is 1
if a case differs and nobody says why, or a reason has no case any more.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap

import yaml

from .differences import DIFFERENT
from .rules import UNREADABLE
from .sources import READERS, REPOSITORIES, name
from .whole import is_beside, whole

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUTCOMES = {(True, True): "hit", (True, False): "missed", (False, True): "extra", (False, False): "quiet"}


class Counts(collections.Counter):
    """How many cases came to what; `on purpose` is said of those that are missed or extra."""

    def ratios(self, purpose):
        """Precision and recall, with what differs on purpose or without."""
        extra, missed = (self[o] + purpose * self[f"{o} on purpose"] for o in ("extra", "missed"))
        return self["hit"] / max(1, self["hit"] + extra), self["hit"] / max(1, self["hit"] + missed)

    def purposes(self):
        return self["missed on purpose"] + self["extra on purpose"]


def arguments():
    repositories = "\n".join(f"    --{key:12} github.com/{repository}" for key, repository in REPOSITORIES.items())
    parser = argparse.ArgumentParser(
        description=__doc__.format(repositories=repositories), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for source in READERS:
        parser.add_argument(f"--{source}", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--websample", metavar="FILE")
    parser.add_argument("--verbose", action="store_true", help="print what is said in each case that differs")
    return parser.parse_args()


def main():
    given = arguments()
    built = [ROOT / "target" / profile / "websample" for profile in ("release", "debug")]
    websample = given.websample or next((str(b) for b in built if b.is_file()), None)
    if websample is None:
        sys.exit("no websample: build it, or name it with --websample")
    checkouts = {source: getattr(given, source.replace("-", "_")) for source in READERS}
    cases = [case for source, folder in checkouts.items() if folder for case in READERS[source](folder)]
    if not cases:
        sys.exit("name at least one checkout; see --help")
    counts, cache = collections.defaultdict(Counts), {}
    unexplained, explained = [], {difference: [] for difference in DIFFERENT}
    for case in cases:
        findings = checked(websample, case, cache)
        outcome = OUTCOMES[(case.fires, any(case.is_told(finding) for finding in findings))]
        if outcome in ("missed", "extra"):
            difference = next((different for different in DIFFERENT if different.is_of(case, outcome)), None)
            said = f"{outcome}: {case.source} {case.rule} {case.about}"
            if given.verbose:
                said += f"\n    says {', '.join(sorted({f['rule'] for f in findings})) or 'nothing'}"
            explained.get(difference, unexplained).append(said)
            outcome += " on purpose" if difference else ""
        counts[(case.source, case.rule)][outcome] += 1
    stale = [d for d, those in explained.items() if not those and checkouts.get(d.source)]
    show_differences(unexplained, explained, stale)
    show_counts(counts)
    return 1 if unexplained or stale else 0


def checked(websample, case, cache):
    """What we say of a case: findings, and as such what could not be read."""
    documents = whole(case)
    key = json.dumps(documents, sort_keys=True)
    if key not in cache:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "case.yaml"
            file.write_text(yaml.safe_dump_all(documents))
            ran = subprocess.run([websample, "check", file, "--output", "json"], capture_output=True, text=True)
            report = json.loads(ran.stdout)
        findings = [finding for finding in report.get("findings", []) if not is_beside(finding)]
        unreadable = [problem for problem in report.get("problems", []) if problem.get("document")]
        cache[key] = findings + [as_finding(p, documents[p["document"] - 1]) for p in unreadable]
    return cache[key]


def as_finding(problem, document):
    return {"rule": UNREADABLE, "message": problem["problem"], "kind": document.get("kind"), "name": name(document),
            "container": None}


def show_differences(unexplained, explained, stale):
    by_reason = collections.defaultdict(list)
    for difference, those in explained.items():
        by_reason[difference.why] += those
    for why, those in by_reason.items():
        if those:
            print(textwrap.fill(f"On purpose: {why}", 110))
            print(*(f"  {said}" for said in those), sep="\n")
    for what, those in (("Nobody says why", unexplained), ("A reason without a case", stale)):
        if those:
            print(f"{what}:")
            print(*(f"  {said}" for said in those), sep="\n")


def show_counts(counts):
    print(f"\n{'':68} {'hit':>5} {'quiet':>6} {'missed':>7} {'extra':>6} {'on purpose':>11}")
    by_source, total = collections.defaultdict(Counts), Counts()
    for (source, rule), count in sorted(counts.items()):
        by_source[source].update(count)
        total.update(count)
        print(
            f"{source + ' ' + rule:68.68} {count['hit']:5} {count['quiet']:6} {count['missed']:7} {count['extra']:6} "
            f"{count.purposes():11}"
        )
    print(f"\n{'':12} {'cases':>6} {'on purpose':>11}   {'as they say':>22}   {'without those on purpose':>24}")
    for source, count in [*by_source.items(), ("all", total)]:
        as_said, without = (
            "precision {:.3f} recall {:.3f}".format(*count.ratios(purpose)) for purpose in (True, False)
        )
        print(f"{source:12} {sum(count.values()):6} {count.purposes():11}   {as_said}   {without}")
