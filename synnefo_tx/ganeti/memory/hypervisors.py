"""Parameters of hypervisors: which there are, and which values they may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synnefo_tx.ganeti.memory.cluster import OpFailed
from synnefo_tx.ganeti.memory.config import HYPERVISOR_PARAMETERS

_BOOT_ORDERS = ("cdrom", "network", "floppy", "disk")
_KNOWN = {
    name: value for params in HYPERVISOR_PARAMETERS.values() for name, value in params.items()
}


def check_hvparams(
    hypervisor: str, given: Mapping[str, Any], base: Mapping[str, Any] | None = None
) -> None:
    """Check what was given, on top of ``base``. Raises OpFailed, first for what no one knows."""
    for name, value in given.items():
        if name not in _KNOWN:
            raise OpFailed("TypeEnforcementError", f"Unknown parameter '{name}'")
        if isinstance(_KNOWN[name], bool) and not isinstance(value, bool):
            text = f"'{name}' (value {value}) is not a valid boolean"
            raise OpFailed("TypeEnforcementError", text)
    own = HYPERVISOR_PARAMETERS[hypervisor]
    for name in given:
        if name not in own:
            raise OpFailed("HypervisorError", f"Parameter '{name}' is not supported")
    if hypervisor == "kvm":
        _check_boot({**own, **(base or {}), **given})


def _check_boot(params: Mapping[str, Any]) -> None:
    order = params["boot_order"]
    if order not in _BOOT_ORDERS:
        text = f"The value must be one of: {', '.join(_BOOT_ORDERS)} (current value: '{order}')"
        raise OpFailed("HypervisorError", f"Parameter 'boot_order' fails syntax check: {text}")
    if order == "cdrom" and not params["cdrom_image_path"]:
        raise OpFailed("HypervisorError", "Cannot boot from cdrom without an ISO path")
