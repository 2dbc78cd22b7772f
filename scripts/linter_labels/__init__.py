"""What scripts/compare-linters is made of, in the order in which it is used:

rules        which rules of others mean the same as which of ours
sources      what others say of their own test files, as cases
whole        makes a fragment whole, so that it is about its rule and nothing else
differences  where we say something else on purpose, and why
command      the command line: asks `websample check`, compares, counts
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Same:
    """Which of our findings mean the same as a rule of somebody else."""

    rules: frozenset
    # Only findings of objects of these kinds; others of the file may be told of the same. All: empty.
    kinds: frozenset = frozenset()
    # Only findings whose message has this pattern: one rule of ours may be wider than theirs.
    saying: str = ""


@dataclass(frozen=True)
class Case:
    """An object, or all of a file, of which somebody says whether it breaks a rule."""

    source: str
    rule: str
    same: Same
    documents: list = field(hash=False)
    # The name of the object or container, or of the file.
    about: str
    fires: bool
    # What `about` names: "object", "container" or "file".
    of: str = "file"

    def is_told(self, finding):
        """Whether a finding of ours says what the rule says."""
        if finding["rule"] not in self.same.rules or not re.search(self.same.saying, finding["message"]):
            return False
        if self.same.kinds and finding["kind"] not in self.same.kinds:
            return False
        return self.of == "file" or finding["container" if self.of == "container" else "name"] == self.about
