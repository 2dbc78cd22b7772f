"""The command line of scripts/servers."""

import argparse
import os
import signal
import sys
from pathlib import Path

from . import ROOT, Unavailable, document, install, measure, page
from .catalogue import SERVERS
from .model import VARIANTS

DESCRIPTION = """\
Measures what other people's servers lose in a rolling update, and writes servers.json and servers.md.

Every server is rolled out by `websample rollout ... -- COMMAND`, in three variants: plain (as it comes), hook
(a preStop hook that sleeps 5 s) and best (the best settings of its documentation). What is needed is
installed first, into target/servers and nowhere else: from PyPI, npm, and Debian's packages, which are
only downloaded and unpacked. It takes Python 3.10, Node.js with npm, a JDK and apt-get; the servers of
what is missing are left out, and named.

It can be interrupted: what was measured is in target/servers/measured, and is not measured again. A
rollout in which the load generator did not keep up is tried three times, and else shown as void. Use a
quiet machine, and a release build of websample."""
EPILOG = """\
Examples:
  scripts/servers
      All of them, in about half an hour; the documents go into docs.
  scripts/servers --only uvicorn nginx --out /tmp/two
      Two servers, in a document of their own.
  scripts/servers --only caddy --variant best --again
      One rollout once more, and its row in docs.
  scripts/servers --list
      What there is.
  scripts/servers --render
      docs/servers.md from docs/servers.json, with the words as they are now; nothing is measured.
  scripts/servers --render --check
      Changes nothing; exits with 1 if the documents are not what this would make of them.

Exit codes: 0 done; 1 --check found a difference; 64 usage; 69 something could not be had or measured;
130 interrupted."""

USAGE, UNAVAILABLE, DIFFERENT = 64, 69, 1


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"scripts/servers: {message}\n")


def whole(least):
    def parse(text):
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}': use a whole number from {least} on")
        return int(text)
    return parse


def parser():
    names = [server.name for server in SERVERS]
    found = Parser(prog="scripts/servers", description=DESCRIPTION, epilog=EPILOG,
                   formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", nargs="+", action="extend", choices=names, metavar="NAME",
                       help="only these servers; --list names them")
    found.add_argument("--variant", nargs="+", action="extend", choices=list(VARIANTS),
                       metavar="VARIANT", help=f"only these variants: {', '.join(VARIANTS)}")
    found.add_argument("--out", type=Path, default=ROOT / "docs", metavar="DIR",
                       help="where servers.json and servers.md are [default: docs]")
    found.add_argument("--seed", type=whole(0), default=1, metavar="N",
                       help="of the rollouts [default: 1]")
    found.add_argument("--repeat", type=whole(1), default=1, metavar="N",
                       help="rollouts a variant, added up [default: 1]")
    found.add_argument("--again", action="store_true",
                       help="measure what was measured already, too")
    found.add_argument("--websample", metavar="PROGRAM",
                       help="what measures [default: the first of target/{dist,release,debug}]")
    found.add_argument("--list", action="store_true", help="name the servers, and end")
    found.add_argument("--render", action="store_true", help="only write servers.md anew")
    found.add_argument("--check", action="store_true", help="with --render: only compare")
    return found


def main():
    arguments = parser().parse_args()
    if arguments.check and not arguments.render:
        parser().error("--check needs --render")
    # A shell that starts this in the background has it ignore Ctrl-C, and what it starts as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As Ctrl-C: the rollout ends its pods, and nothing is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.list:
            for server in SERVERS:
                print(f"{server.name:18}{server.title}")
            return 0
        return render(arguments) if arguments.render else run(arguments)
    except Unavailable as error:
        print(f"scripts/servers: {error}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        print("scripts/servers: interrupted; the next run goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT


def render(arguments):
    place = arguments.out / document.NAME
    found = document.read(place)
    if found is None:
        raise Unavailable(f"there is no {place}; scripts/servers makes it")
    new = document.with_words(found)
    text = page.render(new)
    if arguments.check:
        shown = arguments.out / page.NAME
        same = new == found and shown.exists() and shown.read_text() == text
        if not same:
            print(f"{shown} is not what {place} and the catalogue make of it: scripts/servers --render",
                  file=sys.stderr)
        return 0 if same else DIFFERENT
    document.write(place, new)
    (arguments.out / page.NAME).write_text(text)
    return 0


def say(text):
    print(text, file=sys.stderr, flush=True)


def chosen(arguments):
    servers = [server for server in SERVERS if not arguments.only or server.name in arguments.only]
    variants = [variant for variant in VARIANTS
                if not arguments.variant or variant in arguments.variant]
    return servers, variants


def installed(kinds):
    """The versions of what could be installed, by kind, and whether all could."""
    versions, whole = {}, True
    for kind in dict.fromkeys(kinds):
        say(f"installing what is needed: {kind}")
        try:
            versions[kind] = install.KINDS[kind]()
        except Unavailable as error:
            say(f"  left out: {error}")
            whole = False
    return versions, whole


def run(arguments):
    servers, variants = chosen(arguments)
    websample = measure.program(arguments.websample)
    how = document.how(websample, arguments.seed, arguments.repeat)
    before = document.read(arguments.out / document.NAME)
    part = arguments.only or arguments.variant
    # A whole measurement replaces what is there; a part of one has to fit to the rest.
    if not part or before is None or before["measured"] != how:
        if part and before is not None:
            raise Unavailable(f"{arguments.out / document.NAME} was measured in another way or on another "
                              "machine: give a directory of its own with --out")
        before = None
    versions, whole = installed(server.kind for server in servers)
    servers = [server for server in servers if server.kind in versions]
    measured = document.Measured(how)
    if os.getloadavg()[0] > 1:
        say(f"this machine is busy (load {os.getloadavg()[0]:.1f}): wait until it is not, or see void results")
    steps = [(server, variant) for server in servers for variant in variants]
    for at, (server, variant) in enumerate(steps, 1):
        version = versions[server.kind][server.package]
        label = f"[{at}/{len(steps)}] {server.title} {version}, {VARIANTS[variant]}"
        kept = None if arguments.again else measured.get(server, variant, version)
        if kept:
            say(f"{label}: measured already, {told(kept)}")
            continue
        try:
            result = measure.rollout(websample, server, variant, arguments.seed, arguments.repeat)
        except Unavailable as error:
            say(f"{label}: {error}")
            whole = False
            continue
        measured.put(server, variant, version, result)
        say(f"{label}: {told(result)}")
    made = measured.only(servers, variants).document(before)
    document.write(arguments.out / document.NAME, made)
    (arguments.out / page.NAME).write_text(page.render(made))
    say(f"{arguments.out / page.NAME}")
    return 0 if whole else UNAVAILABLE


def told(result):
    if "void" in result:
        return f"void: {result['void']}"
    causes = ", ".join(f"{count} {cause}" for cause, count in result["causes"].items())
    return f"{result['lost']} of {result['of']} lost in {result['seconds']} s {causes}".rstrip()
