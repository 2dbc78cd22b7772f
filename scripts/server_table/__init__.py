"""What scripts/servers is made of, in the order in which it is used:

catalogue   the servers: commands, settings, how each handles SIGTERM and who says so
install     has them in target/servers, from PyPI, npm and Debian
measure     one rollout of one server in one variant
document    servers.json: what was measured, where and how
page        servers.md, from that
command     the command line
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / "target" / "servers"


class Unavailable(Exception):
    """Something that is needed cannot be had here; the message says what."""
