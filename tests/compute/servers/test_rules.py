"""What a request for a server may hold."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.compute.servers.rules import (
    check_metadata,
    check_networks,
    check_password,
    check_personality,
    check_server_name,
)
from synnefo_tx.faults import Fault
from synnefo_tx.settings import Compute

SETTINGS = Compute()
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.sampled_from(["path", "contents", "uuid", "mode", "x"]), inner)
    ),
    max_leaves=8,
)
CONTENTS = base64.b64encode(b"content").decode()


def file(**changes: object) -> dict[str, object]:
    """A file to inject."""
    return {"path": "/etc/motd", "contents": CONTENTS} | changes


class PartsTests(SynchronousTestCase):
    def refused(self, check, *values: object) -> None:
        for value in values:
            self.assertRaises(Fault, check, value, SETTINGS)

    def test_metadata(self) -> None:
        """Few items of text, with short names."""
        self.assertEqual(check_metadata({"a": "b" * 500}, SETTINGS), {"a": "b" * 500})
        many = {str(number): "" for number in range(SETTINGS.server_metadata_max + 1)}
        self.refused(
            check_metadata,
            many, {"a": 1}, {"a": None}, {"a": "\x00"}, {"a": "b" * 501}, {"": "b"},
            {"k" * 51: "b"},
        )  # fmt: skip

    def test_networks(self) -> None:
        """A list of networks, by number or link, of so many at most (SEC36)."""
        self.assertIsNone(check_networks(None, SETTINGS))
        self.assertEqual(
            check_networks([{"uuid": "7"}, {"uuid": 8, "fixed_ip": "10.0.0.1"}], SETTINGS),
            (WantedPort(7, None), WantedPort(8, "10.0.0.1")),
        )
        most = [{"uuid": "7"}] * SETTINGS.nics_per_instance_max
        self.assertEqual(len(check_networks(most, SETTINGS) or ()), len(most))
        self.refused(
            check_networks,
            [*most, {"uuid": "7"}], {}, "7", ["7"], [{}], [{"uuid": None}], [{"uuid": True}],
            [{"uuid": "7", "fixed_ip": 1}], [{"uuid": "-"}], [{"uuid": 1.5}],
        )  # fmt: skip

    def test_personality(self) -> None:
        """Few small files, base64, with a path, an owner and a mode that a guest can have."""
        (found,) = check_personality([file()], SETTINGS)
        self.assertEqual((found.owner, found.group, found.mode), ("root", "root", 0o440))
        many = [file()] * (SETTINGS.personality_max + 1)
        self.refused(check_personality, many, {}, None, ["x"], [{}])
        for wrong in (
            {"path": ""}, {"path": "a\x00"}, {"path": "/" * 256}, {"path": 1}, {"contents": "%"},
            {"contents": "é"}, {"contents": "A" * (SETTINGS.personality_max_bytes + 4)},
            {"mode": -1},
            {"mode": 0o10000}, {"mode": True}, {"mode": "0644"}, {"owner": 0}, {"group": None},
            {"owner": "a\nb"}, {"group": "a\x00"}, {"owner": "x" * 33}, {"size": 1},
        ):  # fmt: skip
            self.refused(check_personality, [file(**wrong)])

    def test_names_and_passwords(self) -> None:
        """A name is there, short and of characters that are seen; a password is not a weak one."""
        self.assertEqual(check_server_name("x" * 255), "x" * 255)
        for name in ("", "x" * 256, "a\nb"):
            self.assertRaises(Fault, check_server_name, name)
        self.assertIsNone(check_password(None))
        self.assertEqual(check_password("Abcdefgh12"), "Abcdefgh12")
        for password in ("short1A", "alllower12", "ALLUPPER12", "NoDigitsHere", "Aa1" * 50):
            self.assertRaises(Fault, check_password, password)

    @given(JSON)
    def test_any_value(self, value: object) -> None:
        """Whatever JSON stands there is taken or a fault, never an error."""
        for check in (check_networks, check_personality):
            try:
                check(value, SETTINGS)
                check([value], SETTINGS)
            except Fault:
                pass
