"""A WSGI application for gunicorn and waitress: `gunicorn wsgi:app`.

GET / answers at once, GET /sleep/N after N seconds.
"""

import os
import time

VERSION = os.environ.get("VERSION", "unknown").encode()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/sleep/"):
        time.sleep(min(float(path[7:]), 60))
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(VERSION)))]
    start_response("200 OK", headers)
    return [VERSION]
