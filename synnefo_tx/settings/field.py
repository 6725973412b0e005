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


PORT_MAX = 65535


def setting(
    default: Any,
    help: str,
    *,
    original: str = "",
    unit: str = "",
    secret: bool = False,
    may_be_zero: bool = False,
) -> Any:
    """A field of a settings group: its default, its help text, its name in the original.

    ``unit`` is what a number counts, where the field's name does not end with a unit. A number is
    more than 0, unless 0 means something.
    """
    metadata = {"help": help, "original": original, "unit": unit, "may_be_zero": may_be_zero}
    if isinstance(default, list | dict):
        default = Factory(default.copy)
    return field(default=default, metadata=metadata, repr=not secret)


def unit_of(attribute: Attribute[Any]) -> str:
    """What a number in this field counts; empty for what is no number."""
    stated: str = attribute.metadata["unit"]
    words = attribute.name.removesuffix("_max").removesuffix("_min").split("_")
    return stated or UNITS.get(words[-1], "")


def bounds_of(attribute: Attribute[Any]) -> str:
    """What a number in this field must be."""
    least = "0 or more" if attribute.metadata["may_be_zero"] else "more than 0"
    return f"{least}, at most {PORT_MAX}" if unit_of(attribute) == "port" else least


def is_within(attribute: Attribute[Any], value: Any) -> bool:
    """Whether a field takes a value, or every one of several; what is no number is taken."""
    if isinstance(value, tuple):
        return all(is_within(attribute, each) for each in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    is_port = unit_of(attribute) == "port"
    greatest = PORT_MAX if is_port else float("inf")
    least_ok = value >= 0 if attribute.metadata["may_be_zero"] else value > 0
    return least_ok and value <= greatest and value < float("inf")
