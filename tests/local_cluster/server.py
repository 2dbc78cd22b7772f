"""A small server for the local cluster's tests: HOST, PORT, version, and what SIGTERM does.

usage: server.py ignore|die|graceful|unready|crash
"""

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

mode = sys.argv[1]
healthy = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global healthy
        status = 200
        if self.path == "/readiness" and mode == "unready":
            status = 503
        elif self.path == "/liveness" and not healthy:
            status = 500
        elif self.path == "/sick":
            healthy = False
        elif self.path == "/exit":
            os._exit(7)
        elif self.path.startswith("/prestop"):
            time.sleep(float(self.path.partition("=")[2] or 0))
        body = os.environ["version"].encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


print("pid", os.getpid(), flush=True)
if mode == "crash":
    print("about to crash", file=sys.stderr)
    sys.exit(3)
server = Server((os.environ["HOST"], int(os.environ["PORT"])), Handler)
if mode == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif mode == "graceful":
    stop = lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, stop)
server.serve_forever()
