"""One rollout of one server in one variant, by the lab."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from . import Unavailable, install

REPLICAS = 4
# What every one of them can answer: a proxy has the slow requests from a server behind it. Kept-alive
# connections are idle for the most part in one stream and in use in another, since servers that end treat
# them differently.
MIX = ("100/s new GET /, 50/s keep-alive GET /, 50/s keep-alive GET /sleep/0.1, "
       "3/s new GET /sleep/1")
# A rollout in which the load generator did not keep up is run again, so often in all.
TRIES = 3
# websample's exit code for such a rollout, with --fail-on.
VOID = 75
# Never so: it is given for the exit code above.
NEVER = "killed<0"


def program(given):
    """The websample that measures: the fastest build here that has the lab, which the image's has not."""
    if given:
        if not has_lab(Path(given).resolve()):
            raise Unavailable(f"{given} is no websample with the lab")
        return Path(given).resolve()
    target = install.ROOT / "target"
    for profile in ("dist", "release", "debug"):
        if has_lab(target / profile / "websample"):
            return target / profile / "websample"
    raise Unavailable("there is no websample here; run 'cargo build --release --bin websample'")


def has_lab(path):
    try:
        asked = subprocess.run([path, "rollout", "--help"], capture_output=True, check=False)
    except OSError:
        return False
    return asked.returncode == 0


class Sleeper(http.server.BaseHTTPRequestHandler):
    """GET /sleep/N answers after N seconds: what proxies have behind them."""

    def do_GET(self):
        time.sleep(min(float(self.path.rsplit("/", 1)[-1]), 60))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def sleeper():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sleeper)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def options(server, variant, seed, repeat):
    """What `websample rollout` is told, as somebody would type it."""
    found = ["--replicas", str(REPLICAS), "--seed", str(seed), "--mix", MIX,
             "--readiness", "http:/", "--pre-stop", server.hook_of(variant)]
    if repeat > 1:
        found += ["--repeat", str(repeat)]
    return found


def environment(state, behind):
    """Python's and others' clients take proxies from the environment, which loopback has none of."""
    found = {name: value for name, value in os.environ.items()
             if not name.lower().endswith("_proxy")}
    host, port = behind.split(":")
    found |= {"PATH": install.path(), "PYTHONDONTWRITEBYTECODE": "1", "STATE": state, "HOME": state,
              "TMPDIR": state, "PAGE": f"{state}/page",
              "SLEEPER": behind, "SLEEPER_HOST": host, "SLEEPER_PORT": port}
    modules = next((install.DEBIAN / "root").glob("usr/lib/apache2/modules"), None)
    if modules:
        found["MODULES"] = str(modules)
    return found


def rollout(websample, server, variant, seed, repeat):
    """The result as it goes into the document. Void ones are tried again, and then shown as such."""
    for tries in range(1, TRIES + 1):
        code, said, report = once(websample, server, variant, seed, repeat)
        if code not in (0, VOID):
            raise Unavailable(f"{server.name}: websample exited with {code}: {said}")
        result = {"command": server.shown(variant),
                  "pre_stop": server.hook_of(variant), "tries": tries,
                  "date": time.strftime("%Y-%m-%d", time.gmtime())}
        if code == 0:
            return result | summary(report["runs"])
    return result | {"void": said}


def once(websample, server, variant, seed, repeat):
    with tempfile.TemporaryDirectory(prefix="websample-servers-") as directory, sleeper() as behind:
        # Servers that start as root and then run as nobody write there, too.
        os.chmod(directory, 0o777)
        Path(directory, "page").mkdir()
        Path(directory, "page", "index.html").write_text("ok\n")
        command = [websample, "rollout", *options(server, variant, seed, repeat),
                   "--fail-on", NEVER, "--out", f"{directory}/out", "--", *server.command_of(variant)]
        # A Ctrl-C reaches the lab once, from here.
        process = subprocess.Popen(command, cwd=install.APPS / server.kind, text=True,
                                   env=environment(directory, behind), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   start_new_session=True)
        try:
            _, errors = process.communicate()
        except BaseException:
            # It stops its pods when it is interrupted, and must have the time to.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        said = [line for line in errors.splitlines() if line.strip()]
        report = Path(directory, "out", "report.json")
        if process.returncode == 0:
            return 0, "", json.loads(report.read_text())
        # The last line says it; of a server that does not start, those before it have its own words.
        last = said[-1:] if process.returncode == VOID else said[-4:]
        return process.returncode, " / ".join(last).removeprefix("websample: "), None


def summary(runs):
    """What is kept of a report: sums, and the mean of the times."""
    causes = {}
    for run in runs:
        for cause in run["causes"]:
            causes[cause["cause"]] = causes.get(cause["cause"], 0) + cause["count"]
    streams = {}
    for run in runs:
        for stream in run["streams"]:
            streams[stream["name"]] = streams.get(stream["name"], 0) + stream["lost"]
    return {
        "lost": sum(run["lost"] for run in runs),
        "of": sum(run["requests"] for run in runs),
        "causes": dict(sorted(causes.items(), key=lambda item: (-item[1], item[0]))),
        "streams": streams,
        "seconds": round(sum(run["rollout_seconds"] for run in runs) / len(runs), 1),
        "killed": sum(run["killed"] for run in runs),
        "send_delay_p99_ms": round(max(run["send_delay_ms"]["p99"] for run in runs), 1),
    }
