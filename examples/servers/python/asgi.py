"""An ASGI application for uvicorn, hypercorn, granian and daphne: `uvicorn asgi:app`.

GET / answers at once, GET /sleep/N after N seconds. GET /leave is for the preStop hook: from then on every
answer says `Connection: close`, so that clients leave by themselves while the server still accepts. It
holds for one process: with several workers the others do not hear of it.
"""

import asyncio
import os

VERSION = os.environ.get("VERSION", "unknown").encode()
# Longer than a proxy needs to hear that the pod is leaving.
LEAVING_FOR = 5

leaving = False


async def app(scope, receive, send):
    global leaving
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    path = scope["path"]
    if path == "/leave":
        leaving = True
        await asyncio.sleep(LEAVING_FOR)
    elif path.startswith("/sleep/"):
        await asyncio.sleep(min(float(path[7:]), 60))
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(VERSION)).encode())]
    if leaving:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": VERSION})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
