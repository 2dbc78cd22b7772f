"""servers.json: what was measured, of whom, where and how.

`measured` says how, and on what machine: results of two machines, or of two mixes, are not put into one
table. A server has a result a variant; one without has not been measured, and one with `void` could not be.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from pathlib import Path

from . import PLACE, Unavailable, measure
from .catalogue import SERVERS
from .model import VARIANTS

# What has been measured so far, a file for each way to do it: a run may be interrupted.
STATES = PLACE / "measured"
NAME = "servers.json"


def how(websample, seed, repeat):
    """Everything that results must have in common."""
    version = subprocess.run([websample, "--version"], capture_output=True, text=True, check=True)
    return {
        "websample": version.stdout.split()[-1],
        "build": websample.parent.name,
        "seed": seed,
        "mix": measure.MIX,
        "replicas": measure.REPLICAS,
        "repeat": repeat,
        "machine": machine(),
        "priority": "normal" if os.sched_getscheduler(0) == os.SCHED_OTHER else "real-time",
    }


def machine():
    def found(pattern, path):
        try:
            match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
        except OSError:
            match = None
        return match[1].strip('"') if match else "unknown"

    memory = found(r"^MemTotal:\s+(\d+)", "/proc/meminfo")
    return {
        "cpu": found(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo"),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20) if memory.isdigit() else None,
        "system": found(r"^PRETTY_NAME=(.+)$", "/etc/os-release"),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def read(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Unavailable(f"{path} is no JSON: {error}") from error


def write(path, document):
    """In one go: whoever reads it, or interrupts this, finds the whole of one or of the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    new.replace(path)


class Measured:
    """The results so far, kept on disk after each."""

    def __init__(self, how, fresh=False):
        text = json.dumps(how, sort_keys=True)
        self.place = STATES / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        kept = None if fresh else read(self.place)
        self.how = how
        self.results = kept["results"] if kept else {}

    def get(self, server, variant, version):
        """A result that was measured with the same command, hook and version."""
        result = self.results.get(server.name, {}).get(variant)
        same = result and (result["command"], result["pre_stop"], result["version"]) == (
            server.shown(variant), server.hook_of(variant), version)
        return result if same and "void" not in result else None

    def put(self, server, variant, version, result):
        self.results.setdefault(server.name, {})[variant] = {**result, "version": version}
        write(self.place, {"measured": self.how, "results": self.results})

    def only(self, servers, variants):
        """These results without the others."""
        part = Measured(self.how, fresh=True)
        part.results = {server.name: {variant: found for variant, found in
                                      self.results.get(server.name, {}).items() if variant in variants}
                        for server in servers}
        return part

    def document(self, before):
        """With what another document has of the others, if that was measured in the same way."""
        rows = {row["name"]: row for row in before["servers"]} if before else {}
        servers = []
        for server in SERVERS:
            variants = dict(rows.get(server.name, {}).get("variants", {}))
            version = rows.get(server.name, {}).get("version")
            for variant, result in self.results.get(server.name, {}).items():
                version = result["version"]
                variants[variant] = {key: result[key] for key in result if key != "version"}
            if variants:
                ordered = {variant: variants[variant] for variant in VARIANTS if variant in variants}
                servers.append({**words(server), "version": version, "variants": ordered})
        return {"measured": self.how, "servers": servers}


def words(server):
    """What is said of a server, and not measured."""
    return {"name": server.name, "title": server.title, "sigterm": server.sigterm,
            "source": server.source, "fix": server.fix, "fix_source": server.fix_source}


def with_words(document):
    """The document with the words of the catalogue, which may have changed since."""
    known = {server.name: words(server) for server in SERVERS}
    gone = [row["name"] for row in document["servers"] if row["name"] not in known]
    if gone:
        raise Unavailable(f"the catalogue has no {', '.join(gone)}")
    servers = [{**row, **known[row["name"]]} for row in document["servers"]]
    return {**document, "servers": servers}
