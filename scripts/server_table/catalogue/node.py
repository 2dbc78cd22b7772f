"""Node's own server, and npm's around it."""

from ..model import Server

LEAVE = "http:/leave"
NODE = "https://nodejs.org/api"
CLOSE = f"{NODE}/http.html#serverclosecallback"
AWAY = "A hook that calls the application, which from then on answers with `Connection: close`"


def started(program, more=""):
    return f"node {program} --host {{host}} --port {{port}}{more}"


SERVERS = [
    Server(
        name="node", title="Node http, no handler", kind="node", package="node",
        command=started("http.js"), best=started("http.js", " --best"), best_hook=LEAVE,
        sigterm="Nothing handles it unless the program does: it ends the process at once, with whatever is "
                "in flight.",
        source=f"{NODE}/process.html#signal-events",
        fix=f"`server.close()` on SIGTERM. {AWAY}.",
        fix_source=CLOSE,
    ),
    Server(
        name="node-close", title="Node http, close()", kind="node", package="node",
        command=started("http-close.js"), best_hook=LEAVE,
        sigterm="`server.close()` stops accepting, closes idle connections at once (since Node 19), and "
                "waits for those with a request, which it does not tell to close: a busy client keeps the "
                "process until SIGKILL.",
        source=CLOSE,
        fix=f"{AWAY}; then nobody uses a connection that `close()` closes.",
        fix_source=f"{NODE}/http.html#responsesetheadername-value",
    ),
    Server(
        name="express", title="express", kind="node", package="express",
        command=started("express.js"), best_hook=LEAVE,
        sigterm="As Node, whose server it is: nothing, unless the program calls `server.close()`, as its "
                "guide has it and this one does.",
        source="https://expressjs.com/en/advanced/healthcheck-graceful-shutdown.html",
        fix=f"{AWAY}.",
        fix_source="https://expressjs.com/en/api.html#res.set",
    ),
    Server(
        name="fastify", title="fastify", kind="node", package="fastify",
        command=started("fastify.js"), best=started("fastify.js", " --best"),
        sigterm="Nothing, unless the program calls `close()`: then it closes the listener and idle "
                "connections, and answers 503 to requests that still come on the others.",
        source="https://fastify.dev/docs/latest/Reference/Server/#close",
        fix="Sleep in the hook, and `return503OnClosing: false`, with which it answers such requests, and "
            "with `Connection: close`.",
        fix_source="https://fastify.dev/docs/latest/Reference/Server/#return503onclosing",
    ),
    Server(
        name="terminus", title="@godaddy/terminus", kind="node", package="@godaddy/terminus",
        command=started("terminus.js"), best=started("terminus.js", " --best"), best_hook="none",
        sigterm="It fails its health checks, runs `beforeShutdown`, then closes the listener and idle "
                "connections, and cuts what is in flight after `timeout` (1 s).",
        source="https://github.com/godaddy/terminus#readme",
        fix="`beforeShutdown` that waits 5 s, and a `timeout` longer than the slowest request.",
        fix_source="https://github.com/godaddy/terminus#how-to-set-terminus-up-with-kubernetes",
    ),
    Server(
        name="stoppable", title="stoppable", kind="node", package="stoppable",
        command=started("stoppable.js"),
        sigterm="Nothing, unless the program calls `stop()`: it closes the listener and idle connections, "
                "ends each of the others after its answer, and waits without a limit unless `grace` sets "
                "one.",
        source="https://github.com/hunterloftis/stoppable#readme",
        fix="Sleep in the hook.",
        fix_source="https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/",
    ),
    Server(
        name="lightship", title="lightship", kind="node", package="lightship",
        command=started("lightship.mjs"),
        best=started("lightship.mjs", " --best"), best_hook="none",
        sigterm="It fails its readiness, goes on serving for `shutdownDelay` (5 s, and none where it finds "
                "no Kubernetes around it), then runs the shutdown handlers, and exits a second later.",
        source="https://github.com/gajus/lightship#readme",
        fix="Nothing is needed for new connections; answers with `Connection: close` while "
            "`isServerShuttingDown()`, a shutdown handler that waits until `server.close()` is done, and a "
            "`shutdownHandlerTimeout` longer than the slowest request.",
        fix_source="https://github.com/gajus/lightship#readme",
    ),
]
