"""What an acceptance suite says about itself.

A suite is a package below ``tests/acceptance`` with test modules and a value ``SUITE`` in its
``__init__``. The runner starts what it needs, and stops it afterwards.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Suite:
    """``main`` is the module with the suite's main journey, run when no suite is named.

    ``clusters`` real Ganeti clusters are started for it, with real guests if ``kvm``; and a
    RabbitMQ node if ``broker``.
    """

    main: str
    clusters: int = 0
    kvm: bool = False
    broker: bool = False
