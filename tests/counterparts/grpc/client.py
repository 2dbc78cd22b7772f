"""Python's gRPC client against grpc.health.v1, until its standard input ends.

usage: client.py ADDRESS

Calls that ask once come from four threads with a channel each, and four more hold a stream each and
open the next when one ends. Nothing is sent again: retries are off. What came of it goes to standard
output as JSON: {"calls": N, "failed": {STATUS: N}, "streams": N, "ended": {STATUS: N}}.
"""

import collections
import json
import sys
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CHANNELS = 4
SERVICE = "websample"
OPTIONS = [
    ("grpc.enable_retries", 0),
    # Else all channels to one address share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    # Soon, since the Service has another pod.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
]

# In seconds.
PAUSE = 0.01
PATIENCE = 10

stop = threading.Event()
lock = threading.Lock()
calls = streams = 0
failed, ended = collections.Counter(), collections.Counter()


def stub():
    return health_pb2_grpc.HealthStub(grpc.insecure_channel(sys.argv[1], options=OPTIONS))


def status(error):
    return f"{error.code().name}: {error.details()}"


def call(health):
    global calls
    while not stop.is_set():
        outcome = None
        try:
            health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=PATIENCE)
        except grpc.RpcError as error:
            outcome = status(error)
        with lock:
            calls += 1
            if outcome:
                failed[outcome] += 1
        time.sleep(PAUSE)


def hold(health, open_streams):
    global streams
    while not stop.is_set():
        stream = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        with lock:
            open_streams.add(stream)
        outcome = "OK: without an error"
        try:
            for _ in stream:
                pass
        except grpc.RpcError as error:
            outcome = status(error)
        with lock:
            open_streams.discard(stream)
            if not stop.is_set():
                streams += 1
                ended[outcome] += 1
        time.sleep(PAUSE)


def main():
    open_streams = set()
    threads = [threading.Thread(target=call, args=[stub()]) for _ in range(CHANNELS)]
    threads += [threading.Thread(target=hold, args=[stub(), open_streams]) for _ in range(CHANNELS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    # A stream that begins now ends with those that are open.
    while any(thread.is_alive() for thread in threads):
        with lock:
            held = list(open_streams)
        for stream in held:
            stream.cancel()
        time.sleep(PAUSE)
    print(json.dumps({"calls": calls, "failed": failed, "streams": streams, "ended": ended}))


main()
