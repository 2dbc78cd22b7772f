"""The servers, in the order of the table."""

from . import go_java, node, proxies, python, ruby

SERVERS = [*python.SERVERS, *node.SERVERS, *go_java.SERVERS, *ruby.SERVERS, *proxies.SERVERS]
