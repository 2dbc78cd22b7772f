"""PyPI's servers: ASGI, WSGI, aiohttp."""

from ..model import Server

LEAVE = "http:/leave"
UVICORN = "https://github.com/Kludex/uvicorn/blob/0.54.0"
GUNICORN = "https://github.com/benoitc/gunicorn/blob/27.0.1"
HYPERCORN = "https://github.com/pgjones/hypercorn/blob/0.18.0/src/hypercorn"
GRANIAN = "https://github.com/emmett-framework/granian/blob/v2.8.9"
WAITRESS = "https://github.com/Pylons/waitress/blob/v3.0.2"
DAPHNE = "https://github.com/django/daphne/blob/4.2.3"
AIOHTTP = "https://docs.aiohttp.org/en/stable"
HELPS = "https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/"

SERVERS = [
    Server(
        name="uvicorn", title="uvicorn", kind="python", package="uvicorn",
        command="uvicorn asgi:app --host {host} --port {port}",
        best_hook=LEAVE,
        sigterm="It closes its listener and its idle connections at once, answers what is in flight with "
                "`Connection: close`, and waits for that without a limit unless "
                "`--timeout-graceful-shutdown` sets one.",
        source=f"{UVICORN}/uvicorn/server.py",
        fix="It has no setting that keeps the listener open: sleep in the hook, or better call the "
            "application in it, which from then on answers with `Connection: close`.",
        fix_source=HELPS,
    ),
    Server(
        name="gunicorn-sync", title="gunicorn, sync workers", kind="python", package="gunicorn",
        command="gunicorn --workers 4 --bind {host}:{port} wsgi:app",
        best="gunicorn --workers 4 --graceful-timeout 20 --bind {host}:{port} wsgi:app",
        sigterm="The arbiter closes its listeners and has the workers finish their current request, for "
                "`--graceful-timeout` (30 s); who waits in the accept queue until the last worker has ended "
                "is reset. Sync workers keep no connection alive, and so cut none.",
        source=f"{GUNICORN}/gunicorn/arbiter.py",
        fix="Sleep in the hook, and set `--graceful-timeout` to less than what the hook leaves of the grace "
            "period.",
        fix_source=f"{GUNICORN}/gunicorn/config.py",
    ),
    Server(
        name="gunicorn-gthread", title="gunicorn, gthread workers", kind="python", package="gunicorn",
        command="gunicorn --threads 4 --bind {host}:{port} wsgi:app",
        best="gunicorn --threads 4 --graceful-timeout 20 --bind {host}:{port} wsgi:app",
        sigterm="As sync; the stopping worker keeps its kept-alive connections up to 2 s longer, and answers "
                "a request that comes on one of them with `Connection: close`.",
        source=f"{GUNICORN}/gunicorn/workers/gthread.py",
        fix="Sleep in the hook, and set `--graceful-timeout` to less than what the hook leaves of the grace "
            "period.",
        fix_source=f"{GUNICORN}/gunicorn/config.py",
    ),
    Server(
        name="uvicorn-worker", title="gunicorn, uvicorn workers", kind="python",
        package="uvicorn-worker",
        command="gunicorn --worker-class uvicorn_worker.UvicornWorker --bind {host}:{port} asgi:app",
        best_hook=LEAVE,
        sigterm="gunicorn's arbiter passes SIGTERM on to the workers, each of which ends as uvicorn does: "
                "listener and idle connections are closed at once.",
        source="https://github.com/Kludex/uvicorn-worker/blob/0.4.0/uvicorn_worker/_workers.py",
        fix="As uvicorn; the application hears of the hook only in the worker that answers it, so with "
            "several workers sleep in the hook.",
        fix_source=HELPS,
    ),
    Server(
        name="hypercorn", title="hypercorn", kind="python", package="hypercorn",
        command="hypercorn --bind {host}:{port} asgi:app",
        best="hypercorn --graceful-timeout 20 --bind {host}:{port} asgi:app", best_hook=LEAVE,
        sigterm="Its worker accepts no more, closes idle connections at once, and gives what is in flight 3 s "
                "(`--graceful-timeout`); its main process keeps the listening socket until then, so that "
                "who still connects waits in vain and is reset.",
        source=f"{HYPERCORN}/run.py",
        fix="`--graceful-timeout` for requests of more than 3 s, and a hook that calls the application, which "
            "from then on answers with `Connection: close`.",
        fix_source="https://hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html",
    ),
    Server(
        name="granian", title="granian", kind="python", package="granian",
        command="granian --interface asgi --host {host} --port {port} asgi:app",
        best_hook=LEAVE,
        sigterm="The main process passes SIGTERM on to its workers, which accept no more, end every "
                "connection as soon as it is idle, and finish what is in flight, without a limit unless "
                "`--workers-kill-timeout` sets one.",
        source=f"{GRANIAN}/src/workers.rs",
        fix="It has no setting that keeps the listener open: sleep in the hook, or better call the "
            "application in it, which from then on answers with `Connection: close`.",
        fix_source=HELPS,
    ),
    Server(
        name="waitress", title="waitress", kind="python", package="waitress",
        command="waitress-serve --host {host} --port {port} wsgi:app",
        best="python3 waitress_server.py {host} {port}",
        sigterm="It has no handler for SIGTERM, which ends the process with whatever is in flight; only "
                "`SystemExit` and Ctrl-C have it wait for its threads, 5 s at most.",
        source=f"{WAITRESS}/src/waitress/server.py",
        fix="Sleep in the hook, and turn SIGTERM into `SystemExit`, so that requests in flight are "
            "finished; kept-alive connections are closed without a warning all the same, since a WSGI "
            "application may not send `Connection: close`.",
        fix_source="https://docs.python.org/3/library/signal.html#signal.signal",
    ),
    Server(
        name="daphne", title="daphne", kind="python", package="daphne",
        command="daphne --bind {host} --port {port} asgi:app",
        best_hook=LEAVE,
        sigterm="Twisted's reactor stops at once: the applications that still run are cancelled, and what is "
                "in flight is lost with every connection.",
        source=f"{DAPHNE}/daphne/server.py",
        fix="Nothing finishes what is in flight at SIGTERM, so it must not come while there is anything: a "
            "hook that calls the application, which from then on answers with `Connection: close`, and "
            "that takes longer than the slowest request.",
        fix_source=HELPS,
    ),
    Server(
        name="aiohttp", title="aiohttp", kind="python", package="aiohttp",
        command="python3 aiohttp_server.py {host} {port}",
        best_hook=LEAVE,
        sigterm="`run_app()` closes the listener and idle connections at once, and waits for handlers for "
                "`shutdown_timeout` (60 s).",
        source=f"{AIOHTTP}/web_advanced.html#graceful-shutdown",
        fix="A hook that calls the application, which from then on closes every connection with its answer "
            "(`response.force_close()`), and a `shutdown_timeout` below what the hook leaves of the grace "
            "period.",
        fix_source=f"{AIOHTTP}/web_reference.html#aiohttp.web.StreamResponse.force_close",
    ),
]
