"""A field of a settings group."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, Factory, field

UNITS = {
    "seconds": "s",
    "minutes": "min",
    "hours": "h",
    "days": "d",
    "months": "months",
    "bytes": "B",
    "gib": "GiB",
}
"""What the end of a field's name says of its unit."""


class SettingsError(Exception):
    """The settings cannot be used; the text names the field and what to do."""


def setting(
    default: Any, help: str, *, original: str = "", unit: str = "", secret: bool = False
) -> Any:
    """A field of a settings group: its default, its help text, its name in the original.

    ``unit`` is what a number counts, where the field's name does not end with a unit.
    """
    metadata = {"help": help, "original": original, "unit": unit}
    if isinstance(default, list | dict):
        default = Factory(default.copy)
    return field(default=default, metadata=metadata, repr=not secret)


def unit_of(attribute: Attribute[Any]) -> str:
    """What a number in this field counts; empty for what is no number."""
    stated: str = attribute.metadata["unit"]
    words = attribute.name.removesuffix("_max").removesuffix("_min").split("_")
    return stated or UNITS.get(words[-1], "")
