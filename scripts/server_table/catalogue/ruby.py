"""Ruby's servers, from Debian's packages."""

from ..model import Server

PUMA = "https://github.com/puma/puma/blob/v5.6.5"
UNICORN = "https://yhbt.net/unicorn/SIGNALS.html"

SERVERS = [
    Server(
        name="puma", title="Puma", kind="ruby", package="puma",
        command="puma --bind tcp://{host}:{port} config.ru",
        best="puma --config puma.rb --bind tcp://{host}:{port} config.ru",
        sigterm="It stops accepting, finishes what its threads have, closes idle connections, and drops who "
                "waits in the accept queue.",
        source=f"{PUMA}/docs/signals.md",
        fix="Sleep in the hook, and `drain_on_shutdown`, with which it serves who waits in the queue.",
        fix_source=f"{PUMA}/lib/puma/dsl.rb",
    ),
    Server(
        name="puma-cluster", title="Puma, 2 workers", kind="ruby", package="puma",
        command="puma --workers 2 --bind tcp://{host}:{port} config.ru",
        best="puma --config puma.rb --workers 2 --bind tcp://{host}:{port} config.ru",
        sigterm="The master passes SIGTERM on, and every worker ends as a single Puma does.",
        source=f"{PUMA}/docs/signals.md",
        fix="As a single Puma: sleep in the hook, and `drain_on_shutdown`.",
        fix_source=f"{PUMA}/lib/puma/dsl.rb",
    ),
    Server(
        name="unicorn", title="unicorn", kind="ruby", package="unicorn",
        command="unicorn --config-file unicorn.rb --listen {host}:{port} config.ru",
        best="../stop-with QUIT unicorn --config-file unicorn.rb --listen {host}:{port} config.ru",
        sigterm="TERM is its quick shutdown, which kills all workers with what they do; QUIT is the graceful "
                "one.",
        source=UNICORN,
        fix="Have it get QUIT instead, by the image's STOPSIGNAL, and sleep in the hook.",
        fix_source=UNICORN,
    ),
]
