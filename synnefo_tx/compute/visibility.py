"""Who sees what of compute, in SQL: the one place that lists, single things and the stream ask.

Each function gives a condition on a row, named by its alias, and a user's uuid.
"""

from __future__ import annotations


def sees_server(server: str, user: str) -> str:
    """Servers are their owner's."""
    return f"{server}.userid = {user}"


def sees_network(network: str, user: str) -> str:
    """Networks are their owner's; public ones are everybody's."""
    return f"({network}.public OR {network}.userid = {user})"


def sees_port(port: str, user: str) -> str:
    """Ports are their owner's."""
    return f"{port}.userid = {user}"


def sees_image(image: str, user: str) -> str:
    """Images are their owner's, who may be no user; public ones are everybody's."""
    return f"({image}.public OR {image}.owner = {user}::text)"


VIEWERS = "unnest(%(users)s::uuid[]) AS v (viewer)"
"""The users that are asked about, where a statement tells which of them see a row."""
VIEWER = "v.viewer"
