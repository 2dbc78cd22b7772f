"""Web servers and proxies, from Debian's packages. Slow requests they have from a server behind them."""

from ..model import Server

NGINX = "https://nginx.org/en/docs/control.html"
HAPROXY = "https://docs.haproxy.org/2.6"
APACHE = "https://httpd.apache.org/docs/2.4"
CADDY = "https://caddyserver.com/docs"
LIGHTTPD = "https://redmine.lighttpd.net/projects/lighttpd/wiki"

SERVERS = [
    Server(
        name="nginx", title="nginx", kind="proxies", package="nginx",
        command="./run-nginx", best="./run-nginx ../stop-with QUIT",
        sigterm="TERM is its fast shutdown, which closes every connection with what is in flight; QUIT is "
                "the graceful one.",
        source=NGINX,
        fix="Have it get QUIT instead, by the image's STOPSIGNAL as nginx's own image does, and sleep in "
            "the hook.",
        fix_source=NGINX,
    ),
    Server(
        name="haproxy", title="HAProxy", kind="proxies", package="haproxy",
        command="haproxy -f haproxy.cfg",
        best="../stop-with USR1 haproxy -f haproxy-best.cfg", best_hook="none",
        sigterm="SIGTERM is its hard stop, which closes every connection; SIGUSR1 is the soft stop, in which "
                "what is in flight is finished and answers say `Connection: close`.",
        source=f"{HAPROXY}/management.html#4",
        fix="Have it get SIGUSR1 instead, by the image's STOPSIGNAL as HAProxy's own image does, and "
            "`grace 5s` in `global`, for which it goes on accepting; it needs no hook.",
        fix_source=f"{HAPROXY}/configuration.html#3.1-grace",
    ),
    Server(
        name="apache", title="Apache httpd", kind="proxies", package="apache2-bin",
        command="apache2 -D FOREGROUND -d . -f httpd.conf",
        best="../stop-with WINCH apache2 -D FOREGROUND -D best -d . -f httpd.conf",
        sigterm="TERM stops at once: the children are killed with what is in flight; WINCH is the graceful "
                "stop.",
        source=f"{APACHE}/stopping.html",
        fix="Have it get WINCH instead, by the image's STOPSIGNAL as its own image does, "
            "`GracefulShutdownTimeout`, and sleep in the hook.",
        fix_source=f"{APACHE}/mod/mpm_common.html#gracefulshutdowntimeout",
    ),
    Server(
        name="caddy", title="Caddy", kind="proxies", package="caddy",
        command="caddy run --config Caddyfile --adapter caddyfile",
        best="caddy run --config Caddyfile.best --adapter caddyfile", best_hook="none",
        sigterm="SIGTERM is its graceful exit: listeners and idle connections are closed at once, and what "
                "is in flight is finished, for `grace_period` if that is set.",
        source=f"{CADDY}/command-line#signals",
        fix="`shutdown_delay 5s`, for which it goes on accepting, a `header` of `Connection: close` while "
            "`{http.shutting_down}`, and a `grace_period`; it needs no hook.",
        fix_source=f"{CADDY}/caddyfile/options#shutdown-delay",
    ),
    Server(
        name="lighttpd", title="lighttpd", kind="proxies", package="lighttpd",
        command="lighttpd -D -f lighttpd.conf",
        best="../stop-with INT lighttpd -D -f lighttpd.conf",
        sigterm="TERM ends it at once, with what is in flight; INT is the graceful shutdown, limited by "
                "`server.graceful-shutdown-timeout`.",
        source="https://github.com/lighttpd/lighttpd1.4/blob/lighttpd-1.4.69/src/server.c",
        fix="Have it get INT instead, by the image's STOPSIGNAL, and sleep in the hook.",
        fix_source=f"{LIGHTTPD}/Docs_ConfigurationOptions",
    ),
]
