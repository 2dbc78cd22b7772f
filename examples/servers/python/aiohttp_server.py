"""aiohttp's own server: run_app(), which ends on SIGTERM by itself.

usage: aiohttp_server.py HOST PORT

GET / answers at once, GET /sleep/N after N seconds. GET /leave is for the preStop hook: from then on every
answer says `Connection: close`, so that clients leave by themselves while the server still accepts.
"""

import asyncio
import os
import sys

from aiohttp import web

VERSION = os.environ.get("VERSION", "unknown")
# Longer than a proxy needs to hear that the pod is leaving.
LEAVING_FOR = 5
LEAVING = web.AppKey("leaving", asyncio.Event)


async def index(_request):
    return web.Response(text=VERSION)


async def sleep(request):
    await asyncio.sleep(min(float(request.match_info["seconds"]), 60))
    return web.Response(text=VERSION)


async def leave(request):
    request.app[LEAVING].set()
    await asyncio.sleep(LEAVING_FOR)
    return web.Response(text="left")


async def close_when_leaving(request, response):
    if request.app[LEAVING].is_set():
        response.force_close()


app = web.Application()
app[LEAVING] = asyncio.Event()
app.on_response_prepare.append(close_when_leaving)
app.add_routes([web.get("/", index), web.get("/sleep/{seconds}", sleep), web.get("/leave", leave)])
web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None)
