"""What closing idle connections costs the usual HTTP clients; see docs/promise.md.

usage: measure.py --binary websample [--connections N] [--thinks 0.5,2,8] [CLIENT…]

Clients keep connections to a Service (here a relay that pins each to the server it began with), use each of
them every so many seconds, and do not retry by themselves; the first server drains, the second one takes
their new connections. Printed are the requests each of them lost, and how long the first server took. A
client that is not installed is left out.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
# The third number of each measurement's own loopback addresses.
PLACES = itertools.count(1)

# The delays of the default, shortened: what counts is how long an idle connection is kept, compared with
# how often it is used.
POLICIES = {
    "close at 1 s": ["--delay.min", "1s", "--delay.max", "3s"],
    "close at 4 s": ["--delay.min", "4s", "--delay.max", "6s"],
    "close at 12 s": ["--delay.min", "12s", "--delay.max", "14s"],
}
GRACE = ["--grace_period", "20s", "--margin", "2s", "--linger", "0s", "--delay.quiet", "300ms"]


class Relay:
    """A Service: new connections go to the present target, old ones stay where they are."""

    def __init__(self):
        self.target = None
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        self.ready.wait()

    def run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def accept(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self.pipe(reader, up_writer), self.pipe(up_reader, writer))

    async def pipe(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()


def serve(binary, ip, flags):
    process = subprocess.Popen(
        [binary, "serve", "--listen", f"{ip}:5000", "--admin.listen", f"{ip}:9000", "--log.level", "error",
         "--workers", "1", *GRACE, *flags],
        stdout=subprocess.DEVNULL,
    )
    import socket
    for _ in range(500):
        try:
            socket.create_connection((ip, 5000)).close()
            return process
        except OSError:
            time.sleep(0.02)
    sys.exit("measure.py: the server does not start")


def clients(directory):
    """The command of every client that is installed: URL, connections, think time, seconds, method follow."""
    python = sys.executable
    found = {"indifferent": [python, HERE / "clients.py", "indifferent"]}
    for name in ["requests", "aiohttp", "httpx"]:
        if subprocess.run([python, "-c", f"import {name}"], stderr=subprocess.DEVNULL).returncode == 0:
            found[name] = [python, HERE / "clients.py", name]
    if shutil.which("node"):
        found["node http"] = ["node", HERE / "client.mjs", "http"]
        found["node fetch"] = ["node", HERE / "client.mjs", "fetch"]
    if shutil.which("go"):
        binary = directory / "client"
        subprocess.run(["go", "build", "-o", binary, HERE / "client.go"], check=True)
        found["go"] = [binary]
    return found


def measure(binary, command, policy, think, connections, method):
    relay = Relay()
    place = f"127.66.{next(PLACES)}"
    first = serve(binary, f"{place}.1", POLICIES[policy])
    second = serve(binary, f"{place}.2", POLICIES[policy])
    try:
        relay.target = (f"{place}.1", 5000)
        url = f"http://127.0.0.1:{relay.port}/echo"
        seconds = 2 * think + 15
        client = subprocess.Popen([*command, url, str(connections), str(think), str(seconds), method],
                                  stdout=subprocess.PIPE, text=True)
        time.sleep(2 + think)
        relay.target = (f"{place}.2", 5000)
        began = time.monotonic()
        first.terminate()
        first.wait()
        took = time.monotonic() - began
        requests, lost = map(int, client.communicate()[0].split())
        return requests, lost, took
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--connections", type=int, default=30)
    parser.add_argument("--thinks", default="0.5,2,8")
    parser.add_argument("client", nargs="*")
    arguments = parser.parse_args()
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    with tempfile.TemporaryDirectory() as directory:
        known = clients(Path(directory))
        print("| client | used every | " + " | ".join(POLICIES) + " |")
        print("|---|---|" + "---|" * len(POLICIES))
        for name, command in known.items():
            if arguments.client and name not in arguments.client:
                continue
            for think in map(float, arguments.thinks.split(",")):
                kinds = [(method, policy) for method in ("GET", "POST") for policy in POLICIES]
                with ThreadPoolExecutor(len(kinds)) as pool:
                    measured = pool.map(
                        lambda kind: measure(
                            arguments.binary, command, kind[1], think, arguments.connections, kind[0]),
                        kinds)
                    cells = [f"{lost} of {requests} ({took:.1f} s)" for requests, lost, took in measured]
                for method in ("GET", "POST"):
                    row, cells = cells[:len(POLICIES)], cells[len(POLICIES):]
                    print(f"| {name} | {think:g} s, {method} | " + " | ".join(row) + " |", flush=True)


main()
