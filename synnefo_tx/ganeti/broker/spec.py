"""The methods of AMQP 0-9-1 that go through txamqp, as its specification object.

txamqp ships no protocol specification and wants XML. The table below is the part that we use
(AMQP 0-9-1 §1.4 to §1.9, and RabbitMQ's ``confirm`` class). ``publish``, ``deliver``, ``return``,
``get`` and the acknowledgements are absent: ``frames`` writes and reads them. A field table is on
the wire a long string, so it is declared as one and encoded by ``tables``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from txamqp.spec import load_string

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT, FRAME_END = 1, 2, 3, 8, 206
BASIC = 60

_CONSTANTS = {
    "frame-method": FRAME_METHOD,
    "frame-header": FRAME_HEADER,
    "frame-body": FRAME_BODY,
    "frame-heartbeat": FRAME_HEARTBEAT,
    "frame-end": FRAME_END,
}
_CLOSE = "reply-code:short reply-text:shortstr class-id:short method-id:short"
_TUNE = "channel-max:short frame-max:long heartbeat:short"

# Class, its number, its methods: name, number, fields, answers. txamqp knows "no-wait" as nowait.
_Method = tuple[str, int, str, Sequence[str]]
_CLASSES: Mapping[tuple[str, int], Sequence[_Method]] = {
    ("connection", 10): (
        (
            "start",
            10,
            "version-major:octet version-minor:octet server-properties:longstr "
            "mechanisms:longstr locales:longstr",
            (),
        ),
        (
            "start-ok",
            11,
            "client-properties:longstr mechanism:shortstr response:longstr locale:shortstr",
            (),
        ),
        ("tune", 30, _TUNE, ()),
        ("tune-ok", 31, _TUNE, ()),
        ("open", 40, "virtual-host:shortstr reserved-1:shortstr reserved-2:bit", ("open-ok",)),
        ("open-ok", 41, "reserved-1:shortstr", ()),
        ("close", 50, _CLOSE, ("close-ok",)),
        ("close-ok", 51, "", ()),
    ),
    ("channel", 20): (
        ("open", 10, "reserved-1:shortstr", ("open-ok",)),
        ("open-ok", 11, "reserved-1:longstr", ()),
        ("flow", 20, "active:bit", ()),
        ("flow-ok", 21, "active:bit", ()),
        ("close", 40, _CLOSE, ("close-ok",)),
        ("close-ok", 41, "", ()),
    ),
    ("exchange", 40): (
        (
            "declare",
            10,
            "reserved-1:short exchange:shortstr type:shortstr passive:bit durable:bit "
            "auto-delete:bit internal:bit nowait:bit arguments:longstr",
            ("declare-ok",),
        ),
        ("declare-ok", 11, "", ()),
    ),
    ("queue", 50): (
        (
            "declare",
            10,
            "reserved-1:short queue:shortstr passive:bit durable:bit exclusive:bit "
            "auto-delete:bit nowait:bit arguments:longstr",
            ("declare-ok",),
        ),
        ("declare-ok", 11, "queue:shortstr message-count:long consumer-count:long", ()),
        (
            "bind",
            20,
            "reserved-1:short queue:shortstr exchange:shortstr routing-key:shortstr nowait:bit "
            "arguments:longstr",
            ("bind-ok",),
        ),
        ("bind-ok", 21, "", ()),
    ),
    ("basic", BASIC): (
        ("qos", 10, "prefetch-size:long prefetch-count:short global:bit", ("qos-ok",)),
        ("qos-ok", 11, "", ()),
        (
            "consume",
            20,
            "reserved-1:short queue:shortstr consumer-tag:shortstr no-local:bit no-ack:bit "
            "exclusive:bit nowait:bit arguments:longstr",
            ("consume-ok",),
        ),
        ("consume-ok", 21, "consumer-tag:shortstr", ()),
        ("cancel", 30, "consumer-tag:shortstr nowait:bit", ("cancel-ok",)),
        ("cancel-ok", 31, "consumer-tag:shortstr", ()),
    ),
    ("confirm", 85): (
        ("select", 10, "nowait:bit", ("select-ok",)),
        ("select-ok", 11, "", ()),
    ),
}


def _method_xml(method: _Method) -> str:
    name, number, fields, answers = method
    inner = "".join(f"<response name={quoteattr(each)}/>" for each in answers)
    for each in fields.split():
        field, kind = each.split(":")
        inner += f"<field name={quoteattr(field)} type={quoteattr(kind)}/>"
    # txamqp makes a docstring of the text.
    return f'<method name={quoteattr(name)} index="{number}">{name}{inner}</method>'


def _xml() -> str:
    constants = "".join(
        f'<constant name={quoteattr(name)} value="{value}"/>' for name, value in _CONSTANTS.items()
    )
    classes = "".join(
        f'<class name={quoteattr(name)} index="{number}" handler="channel">'
        + "".join(map(_method_xml, methods))
        + "</class>"
        for (name, number), methods in _CLASSES.items()
    )
    return f'<amqp major="0" minor="9">{constants}{classes}</amqp>'


SPEC: Any = load_string(_xml(), "AMQP 0-9-1")
"""What txamqp's client is given."""
