"""Which cluster a server goes to: pure (ganeti-backend reference §3).

Unlike the original, clusters that do not fit are never kept for want of better ones: a create that
no cluster has room for is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from synnefo_tx.ganeti.backends.model import Backend, Size


def has_room(backend: Backend, size: Size, template: str) -> bool:
    """Whether a cluster can take a server of this size and template by its known figures."""
    instances = backend.pinst_cnt + backend.reserved_instances + 1
    return (
        not backend.offline
        and template in backend.disk_templates
        and backend.mfree_mib - backend.reserved_mib > size.ram_mib
        and backend.dfree_mib - backend.reserved_disk_mib > size.disk_mib
        and instances * size.vcpus < backend.ctotal * size.ratio
    )


def fits(backend: Backend, size: Size, template: str) -> bool:
    """Whether a cluster takes servers that are for no cluster in particular, and this one."""
    return not backend.drained and backend.public and has_room(backend, size, template)


def score(backend: Backend, size: Size) -> float:
    """How full a cluster is: 0.5 × CPU + 0.5 × (memory + disk), each from 0 to 1."""
    memory = 1 - _share(backend.mfree_mib - backend.reserved_mib, backend.mtotal_mib)
    disk = 1 - _share(backend.dfree_mib - backend.reserved_disk_mib, backend.dtotal_mib)
    instances = backend.pinst_cnt + backend.reserved_instances + 1
    cpu = _share(instances * size.vcpus, backend.ctotal * size.ratio)
    return 0.5 * cpu + 0.5 * (memory + disk)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def ranked(backends: Iterable[Backend], size: Size, template: str) -> list[Backend]:
    """The clusters with room, emptiest first."""
    fitting = [each for each in backends if fits(each, size, template)]
    return sorted(fitting, key=lambda each: (score(each, size), each.id))
