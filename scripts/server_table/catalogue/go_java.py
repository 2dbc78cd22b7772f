"""Go's and Java's own servers, and Jetty."""

from ..model import Server

GO = "https://pkg.go.dev/net/http"
JAVA = "https://docs.oracle.com/en/java/javase/17/docs/api"
JETTY = "https://javadoc.jetty.org/jetty-9/org/eclipse/jetty/server"

SERVERS = [
    Server(
        name="go", title="Go net/http, Shutdown", kind="go", package="go",
        command="./server -listen {host}:{port}",
        best="./server -listen {host}:{port} -leave-for 5s", best_hook="none",
        sigterm="Nothing, unless the program calls `Shutdown`: it closes the listener, then idle "
                "connections as they become idle, and waits for what is in flight as long as its context "
                "lasts.",
        source=f"{GO}#Server.Shutdown",
        fix="`SetKeepAlivesEnabled(false)` on SIGTERM, with which answers say `Connection: close`, and "
            "`Shutdown` five seconds later.",
        fix_source=f"{GO}#Server.SetKeepAlivesEnabled",
    ),
    Server(
        name="java", title="Java HttpServer", kind="java", package="java",
        command="java -cp . Plain {host} {port}",
        best="java -cp . Plain {host} {port} best", best_hook="http:/leave",
        sigterm="Nothing, unless the program has a shutdown hook: the virtual machine exits at once, with "
                "whatever is in flight.",
        source=f"{JAVA}/java.base/java/lang/Runtime.html#addShutdownHook(java.lang.Thread)",
        fix="`HttpServer.stop(seconds)` in a shutdown hook, and a preStop hook that calls the "
            "application, which from then on answers with `Connection: close`.",
        fix_source=f"{JAVA}/jdk.httpserver/com/sun/net/httpserver/HttpServer.html#stop(int)",
    ),
    Server(
        name="jetty", title="Jetty", kind="java", package="jetty",
        command="java -cp .:lib/* JettyServer {host} {port}",
        best="java -cp .:lib/* JettyServer {host} {port} best", best_hook="http:/leave",
        sigterm="With `stopAtShutdown`, as its distribution has it, the listener is closed and the server "
                "stopped; it waits for requests in flight only if a `StatisticsHandler` counts them.",
        source=f"{JETTY}/Server.html#setStopAtShutdown(boolean)",
        fix="A `StatisticsHandler`, a `stopTimeout` longer than the slowest request, and, since it then answers "
            "503 to what still comes on kept-alive connections, a preStop hook that calls the application, "
            "which from then on answers with `Connection: close`.",
        fix_source=f"{JETTY}/handler/StatisticsHandler.html",
    ),
]
