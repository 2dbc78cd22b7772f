"""A small server that ends as Python's servers do: serve_forever() stopped on SIGTERM.

usage: server.py [--host HOST] [--port PORT]

GET / answers with the version, GET /sleep/N after N seconds, POST /echo with the body.
"""

import argparse
import os
import re
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_SLEEP = 60
LARGEST_BODY = 1 << 20
VERSION = os.environ.get("VERSION", "unknown")

leaving = threading.Event()


class Server(ThreadingHTTPServer):
    # The default of 5 would refuse what a burst brings.
    request_queue_size = 128
    # False: the process waits for its threads, and each for its client to close a kept-alive
    # connection. See Handler.timeout.
    daemon_threads = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An idle connection is closed after so many seconds: so long can the end of the process take.
    timeout = 10
    # Head and body of an answer go out in one packet.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        sleep = re.fullmatch(r"/sleep/(\d{1,2})", self.path)
        if self.path == "/":
            self.answer(200)
        elif self.path == "/readiness":
            self.answer(503 if leaving.is_set() else 200)
        elif sleep and int(sleep[1]) <= LONGEST_SLEEP:
            time.sleep(int(sleep[1]))
            self.answer(200)
        else:
            self.answer(404, b"there is no such page\n")

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            # What follows cannot be told from a next request.
            self.close_connection = True
            self.answer(413, b"a Content-Length of at most 1 MiB is needed\n")
            return
        body = self.rfile.read(int(length))
        if self.path == "/echo":
            self.answer(200, body)
        else:
            self.answer(404, b"there is no such page\n")

    def answer(self, status, body=f"{VERSION}\n".encode()):
        self.send_response(status)
        self.send_header("X-Websample-Version", VERSION)
        self.send_header("Content-Length", str(len(body)))
        if leaving.is_set():
            # Otherwise a busy client keeps its connection, and with it this process, for ever.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    arguments = parser.parse_args()

    server = Server((arguments.host, arguments.port), Handler)

    def leave(*_):
        leaving.set()
        # It waits for serve_forever(), which cannot return while a signal is handled on its thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    server.serve_forever()
    # Closes the listener, then waits for every thread.
    server.server_close()


if __name__ == "__main__":
    main()
