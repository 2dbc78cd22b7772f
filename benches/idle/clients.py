"""Python's clients, each connection used every so many seconds: NAME URL CONNECTIONS THINK SECONDS METHOD.

Prints the number of requests and of those that were lost.
"""

import asyncio
import http.client
import random
import sys
import threading
import time
from urllib.parse import urlsplit

name, url, connections, think, seconds, method = sys.argv[1:]
connections, think, end = int(connections), float(think), time.monotonic() + float(seconds)
body = b"x" * 100 if method == "POST" else None
if method == "GET":
    url = url.replace("/echo", "/")
counts = {"requests": 0, "lost": 0}


def count(good):
    counts["requests"] += 1
    counts["lost"] += not good


def of_threads(make):
    def one():
        time.sleep(random.random() * think)
        ask = make()
        while time.monotonic() < end:
            try:
                good = ask() == 201
            except Exception:
                good = False
            count(good)
            time.sleep(think)

    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def indifferent():
    """Leaves when told, and never looks whether a connection was closed."""
    parts = urlsplit(url)
    kept = None

    def ask():
        nonlocal kept
        connection, kept = kept or http.client.HTTPConnection(parts.hostname, parts.port), None
        connection.auto_open = 1
        connection.request(method, parts.path, body)
        response = connection.getresponse()
        response.read()
        if not response.will_close:
            kept = connection
        return response.status

    return ask


def of_requests():
    import requests

    session = requests.Session()
    return lambda: session.request(method, url, data=body).status_code


async def of_tasks(ask):
    async def one():
        await asyncio.sleep(random.random() * think)
        while time.monotonic() < end:
            try:
                good = await ask() == 201
            except Exception:
                good = False
            count(good)
            await asyncio.sleep(think)

    await asyncio.gather(*(one() for _ in range(connections)))


async def of_aiohttp():
    import aiohttp

    # Retries of its own would hide what is lost; GET has them since 3.10.
    async with aiohttp.ClientSession() as session:
        session._retry_connection = False

        async def ask():
            async with session.request(method, url, data=body) as response:
                await response.read()
                return response.status

        await of_tasks(ask)


async def of_httpx():
    import httpx

    limits = httpx.Limits(max_keepalive_connections=None, max_connections=None, keepalive_expiry=None)
    async with httpx.AsyncClient(limits=limits) as client:

        async def ask():
            return (await client.request(method, url, content=body)).status_code

        await of_tasks(ask)


if name == "indifferent":
    of_threads(indifferent)
elif name == "requests":
    of_threads(of_requests)
elif name == "aiohttp":
    asyncio.run(of_aiohttp())
else:
    asyncio.run(of_httpx())
print(counts["requests"], counts["lost"])
