"""Request bodies: strict JSON, or a form's fields, into attrs values.

Strict: no type is converted to another (plain cattrs turns ``3`` into ``"3"`` and ``"no"`` into
True), duplicate keys and numbers that are no JSON are refused. Unknown keys are ignored, as the
original does. A field's JSON name, where it is no Python name, stands in its metadata as ``key``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

from attrs import fields, has
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, override

from synnefo_tx.faults import BadRequest

T = TypeVar("T")
NESTING_MAX = 32
FORM_FIELDS_MAX = 100
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A JSON string, also one without an end: so each character is looked at once."""
BRACKET = re.compile(r"[\[\]{}]")
TEXT_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    float: "a number",
}


def _exact(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"must be {TEXT_NAMES[kind]}")
        if kind is str:
            _check_text(str(value))
        return value

    return structure


def _check_text(text: str) -> None:
    """Refuse what JSON can spell and PostgreSQL cannot store."""
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not hold half a surrogate pair") from None


def _structure_attrs(cls: type[Any]) -> Callable[[Any, Any], Any]:
    renamed = {
        each.name: override(rename=each.metadata["key"])
        for each in fields(cls)
        if "key" in each.metadata
    }
    plain = make_dict_structure_fn(cls, CONVERTER, **cast(Any, renamed))

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("must be an object")
        return plain(value, kind)

    return structure


def _structure_mapping(value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


CONVERTER = Converter(detailed_validation=True)
for _kind in TEXT_NAMES:
    CONVERTER.register_structure_hook(_kind, _exact(_kind))
CONVERTER.register_structure_hook_factory(has, _structure_attrs)
CONVERTER.register_structure_hook_func(lambda kind: kind == dict[str, Any], _structure_mapping)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def parse_json(raw: bytes) -> Any:
    """Decode a JSON document; raises BadRequest."""
    try:
        text = raw.decode("utf-8")
        _check_nesting(text)
        return json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_no_constant, parse_float=_finite
        )
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {error}") from None


def parse_form(raw: bytes) -> dict[str, str]:
    """Decode a form's fields (``application/x-www-form-urlencoded``); raises BadRequest."""
    try:
        fields = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
        return _pairs(fields)
    except ValueError as error:
        raise BadRequest(f"The body is no valid form: {error}") from None


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return
    depth = 0
    for bracket in BRACKET.findall(STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > NESTING_MAX:
            raise ValueError("nested too deeply")


def structure(document: Any, kind: type[T]) -> T:
    """Make a ``kind`` of a JSON document; raises BadRequest that names the field."""
    try:
        return CONVERTER.structure(document, kind)
    except Exception as error:
        texts = transform_error(error, path="body", format_exception=_describe)
        raise BadRequest("; ".join(texts[:5])) from None


def _describe(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing"
    if isinstance(error, ValueError | TypeError):
        return str(error)
    return "is not valid"


def encode(document: Any) -> bytes:
    """JSON as UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(", ", ": ")).encode()
