"""Builds every object of a process from its settings: the only package that knows them all.

One module per component, with what it is made of, a function that builds it and, where it has
endpoints, one that mounts them; ``process`` puts them together. What touches the world outside
(time, randomness, other hosts, threads) comes in as ``Edges``, so that a
simulator can give its own.
"""

from __future__ import annotations

from synnefo_tx.application.edges import Edges
from synnefo_tx.application.process import Application, build

__all__ = ["Application", "Edges", "build"]
