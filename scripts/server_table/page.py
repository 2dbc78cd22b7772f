"""servers.md, from servers.json."""

from .measure import TRIES
from .model import VARIANTS

NAME = "servers.md"

# Why requests were lost, in words that follow a number.
CAUSES = {
    "closed_listener": "sent to a listener that was closed",
    "dead_pod": "sent to a process that had ended",
    "gone_address": "sent to an address that was gone",
    "stale_endpoint": "sent to a pod that no longer accepted",
    "accept_queue": "in the accept queue when the listener was closed",
    "idle_closed": "on a kept-alive connection that was closed under them",
    "cut_at_exit": "in flight when the process ended",
    "cut_at_sigkill": "in flight when SIGKILL came",
    "cut_at_deadline": "cut at the server's own deadline",
    "no_endpoint": "sent when no pod was ready",
    "crash": "at a process that ended by itself",
    "refused_by_leaving_pod": "answered with an error by a pod that was leaving",
    "error_status": "answered with an error",
    "proxy_closed": "on a connection that the proxy closed",
    "proxy": "failed by the proxy",
    "tls": "without an agreement on TLS",
    "too_slow": "without an answer in time",
    "unexplained": "for no reason that was seen",
}

HEAD = """# What servers lose in a rolling update

<!-- written by scripts/servers from servers.json; change scripts/server_table instead -->

{count} servers that nobody here wrote, each rolled out from v1 to v2 under load, in three variants: as it
comes, with five seconds of sleep in the preStop hook, and with the best settings that its documentation
has. `lost` are requests that got no good answer; a client without retries would have shown them to
somebody. The raw numbers are in [servers.json](servers.json).

{totals}

What a sleep in the hook cures is the race between SIGTERM and the proxies, who go on sending new
connections to a pod that no longer accepts. What it does not cure is what the server itself does when it
ends: idle connections that are closed while a client sends, answers of 503, requests that are cut. For
that each has its own remedy, below; [Your own server](your-own-server.md#what-helps) has the general one.

## The table

| server | {variants} | lost as it comes |
|---{columns}|---|
{rows}

In each cell: requests lost, of how many, and how long it took until the last old pod was gone. {void}

## How it was measured

{how}

Repeat it, or one row of it:

```console
$ scripts/servers
$ scripts/servers --only uvicorn --out /tmp/uvicorn
```

"As it comes" is a library with the shutdown call that its documentation puts into a handler of SIGTERM,
where it has one, and else nothing. `http:/leave` is a hook in the application: from then on its answers say
`Connection: close`, for five seconds, before SIGTERM comes ([examples](../examples/servers)).

Not more should be read from it than it says. One rollout says little about single losses: of {some} requests
without a loss, one in {bound} may still be lost (95 %). The pods are processes on one machine, the clients
look whether a connection was closed before they use it again, and no proxy is in between that sends a request
twice.
"""


def render(document):
    servers = document["servers"]
    rows = "\n".join(table_row(server) for server in servers)
    results = [result for server in servers for result in server["variants"].values()]
    few = min((result["of"] for result in results if result.get("lost") == 0), default=0)
    voids = any("void" in result for result in results)
    head = HEAD.format(
        count=len(servers), totals=totals(servers), rows=rows, how=how(document["measured"], results),
        variants=" | ".join(VARIANTS.values()), columns="|---:" * len(VARIANTS),
        void=f"*void*: in {TRIES} tries the load generator did not keep up, so that nothing follows." * voids,
        some=f"{few:,}", bound=f"{few // 3:,}")
    sections = "\n".join(section(server) for server in servers)
    text = f"{head}\n## Each server\n{sections}"
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def totals(servers):
    """How many servers lost nothing, and how much the others did."""
    lines = ["| | " + " | ".join(VARIANTS.values()) + " |", "|---" + "|---:" * len(VARIANTS) + "|"]
    found = {variant: [server["variants"][variant] for server in servers
                       if "lost" in server["variants"].get(variant, {})] for variant in VARIANTS}
    none = [f"{sum(result['lost'] == 0 for result in results)} of {len(results)}"
            for results in found.values()]
    lines.append("| servers that lost nothing | " + " | ".join(none) + " |")
    spans = []
    for results in found.values():
        lost = sorted(result["lost"] for result in results if result["lost"])
        spans.append(f"{lost[0]} to {lost[-1]}" if len(lost) > 1 else str(*lost) if lost else "-")
    lines.append("| lost by each of the others | " + " | ".join(spans) + " |")
    return "\n".join(lines)


def cell(result):
    if result is None:
        return "not measured"
    if "void" in result:
        return "*void*"
    lost = f"**{result['lost']}**" if result["lost"] else "0"
    return f"{lost} of {result['of']:,} in {result['seconds']} s"


def anchor(server):
    """As GitHub makes one of the section's heading."""
    kept = (char for char in heading(server).lower() if char.isalnum() or char in " -_")
    return "".join(kept).replace(" ", "-")


def heading(server):
    return f"{server['title']} ({server['version']})"


def table_row(server):
    cells = [cell(server["variants"].get(variant)) for variant in VARIANTS]
    return f"| [{heading(server)}](#{anchor(server)}) | " + " | ".join(cells) + f" | {mostly(server)} |"


def mostly(server):
    """The main causes as it comes: those that make three quarters of what was lost."""
    result = server["variants"].get("plain", {})
    shown, left = [], 0.75 * result.get("lost", 0)
    for cause, count in result.get("causes", {}).items():
        if left > 0:
            shown.append(CAUSES.get(cause, cause))
            left -= count
    return ", ".join(shown) or "-"


def why(result):
    if "void" in result:
        return f"void: {result['void']}"
    parts = [f"{count} {CAUSES.get(cause, cause)}" for cause, count in result["causes"].items()]
    if result["killed"]:
        parts.append(f"{result['killed']} pods had to be killed")
    return ", ".join(parts) or "-"


def section(server):
    lines = [f"\n### {heading(server)}\n",
             f"**SIGTERM**: {server['sigterm']} ([source]({server['source']}))\n",
             f"**What helps**: {server['fix']} ([source]({server['fix_source']}))\n",
             "| | command | hook | lost | why |", "|---|---|---|---:|---|"]
    for variant, name in VARIANTS.items():
        result = server["variants"].get(variant)
        if result is None:
            continue
        lost = result.get("lost", "*void*")
        command = result["command"].replace("|", "\\|")
        lines.append(f"| {name} | `{command}` | {result['pre_stop']} | {lost} | {why(result)} |")
    return "\n".join(lines)


def how(measured, results):
    machine = measured["machine"]
    dates = sorted({result["date"] for result in results})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "never"
    delays = [result["send_delay_p99_ms"] for result in results if "send_delay_p99_ms" in result]
    rollouts = {1: "one rollout"}.get(measured["repeat"], f"{measured['repeat']} rollouts")
    beside = " Other work used them too: lab and servers ran with real-time priority (`chrt -r 1`)." \
        if measured.get("priority") == "real-time" else ""
    late = f" The generator sent 99 % of the requests at most {max(delays):.0f} ms late in every rollout that counts." \
        if delays else ""
    return f"""\
{rollouts.capitalize()} a variant, one at a time, on {when}: {measured['replicas']} pods, surge and unavailable 25 %,
a readiness probe of `/` every second, a grace period of 30 s, a proxy that hears of a change within 1.2 s.
`--seed {measured['seed']} --mix '{measured['mix']}'`, websample {measured['websample']} (build: {measured['build']}).
Python {machine['python']} ran the Python servers. The machine: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, {machine['system']}, {machine['architecture']};
servers and load generator share it.{beside}{late}"""
