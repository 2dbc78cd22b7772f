"""What is known of a server before it is measured."""

import shlex
from dataclasses import dataclass

# In the order of the table's columns.
VARIANTS = {
    "plain": "as it comes",
    "hook": "with a hook of 5 s",
    "best": "with its best settings",
}
HOOK = "sleep:5s"


@dataclass(frozen=True)
class Server:
    """A server, how it is started, and what its documentation or source says about SIGTERM."""

    name: str
    title: str
    # The installer that has it, and the directory in examples/servers that it runs in.
    kind: str
    # Whose version is shown.
    package: str
    command: str
    # One sentence each: what it does on SIGTERM, who says so, what ends the losses, who says so.
    sigterm: str
    source: str
    fix: str
    fix_source: str
    # The best settings: the command where it is another one, and the hook.
    best: str = ""
    best_hook: str = HOOK

    def command_of(self, variant):
        return shlex.split(self.shown(variant))

    def shown(self, variant):
        """The command as somebody would type it."""
        return self.best if variant == "best" and self.best else self.command

    def hook_of(self, variant):
        return {"plain": "none", "hook": HOOK, "best": self.best_hook}[variant]
