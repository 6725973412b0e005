"""Asking the query socket for an instance: a real socket, answers of every kind."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from synnefo_tx.ganeti.eventd import luxi
from synnefo_tx.ganeti.eventd.instance import FIELDS, Unusable, details
from tests.support.processes import until

ROW = {
    "name": "snf-42",
    "tags": ["synnefo:network:snf-nic-6:limited", "cyclades:user:a", "synnefo:network:x"],
    "nic.names": ["snf-nic-5", "snf-nic-6"],
    "nic.networks.names": ["snf-net-7", None],
    "nic.ips": ["10.91.0.2", None],
    "nic.macs": ["aa:15:00:22:23:a2", "aa:15:00:22:23:a3"],
    "nic.modes": ["bridged", "bridged"],
    "nic.links": ["syntbr0", "br0"],
    "nic.uuids": ["u5", "u6"],
    "disk.names": ["snf-vol-3"],
    "disk.sizes": [100],
    "disk.uuids": ["d3"],
    "hvparams": {"boot_order": "disk", "kernel_path": "/boot/x"},
}


def answer(**changes) -> bytes:
    """Ganeti's answer to a query for one instance."""
    data = [[0, {**ROW, **changes}[field]] for field in FIELDS]
    return json.dumps({"success": True, "result": {"fields": [], "data": [data]}}).encode()


DETAILS = {
    "instance_nics": [
        {
            "name": "snf-nic-5", "network": "snf-net-7", "ip": "10.91.0.2",
            "mac": "aa:15:00:22:23:a2", "mode": "bridged", "link": "syntbr0", "uuid": "u5",
        },
        {
            "name": "snf-nic-6", "network": None, "ip": None, "mac": "aa:15:00:22:23:a3",
            "mode": "bridged", "link": "br0", "uuid": "u6", "firewall": "limited",
        },
    ],
    "instance_disks": [{"name": "snf-vol-3", "size": 100, "uuid": "d3"}],
    "instance_hvparams": {"boot_order": "disk", "cdrom_image_path": None},
}  # fmt: skip


class DetailsTests(SynchronousTestCase):
    def test_details(self):
        """NICs with the firewall of their tags, disks, and where it boots from."""
        self.assertEqual(details(answer()), DETAILS)

    def test_unusable(self):
        """Answers that tell nothing of the instance are refused by name."""
        missing = {"success": False, "result": ["OpPrereqError", ["snf-1 not found", "x"]]}
        self.assertIn("snf-1", str(self.assertRaises(Unusable, details, json.dumps(missing))))
        self.assertRaises(Unusable, details, answer(**{"nic.ips": []}))
        self.assertRaises(Unusable, details, answer(hvparams=None))
        self.assertRaises(Unusable, details, b"[" * 100_000)
        empty = {"success": True, "result": {"data": []}}
        self.assertRaises(Unusable, details, json.dumps(empty))

    @given(st.dictionaries(st.sampled_from(sorted(ROW)), st.none() | st.lists(st.integers())))
    def test_any(self, changes):
        """Fields of any kind give details or a refusal."""
        try:
            found = details(answer(**changes))
        except Unusable:
            return
        self.assertEqual(set(found), set(DETAILS))


class Socket(Factory):
    """A query socket that answers what the test says; None: nothing."""

    def __init__(self):
        self.requests, self.pieces = [], []
        self.hang_up = False
        self.open = []

    def buildProtocol(self, address):
        served = self
        received = bytearray()

        class Connection(Protocol):
            def connectionMade(self):
                served.open.append(self)

            def dataReceived(self, data):
                received.extend(data)
                if received.endswith(b"\x03"):
                    served.requests.append(json.loads(received[:-1]))
                    for piece in served.pieces:
                        self.transport.write(piece)
                    if served.hang_up:
                        self.transport.loseConnection()

            def connectionLost(self, reason):
                served.open.remove(self)

        return Connection()


class LuxiTests(TestCase):
    async def setUp(self):
        # Paths of unix sockets are short.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "ganeti-query"
        self.socket = Socket()
        port = await UNIXServerEndpoint(reactor, str(self.path)).listen(self.socket)
        self.addCleanup(port.stopListening)
        self.luxi = luxi.LuxiDetails(self.path, 0.5, reactor)

    async def test_query(self):
        """One query by name, answered in pieces."""
        whole = answer() + b"\x03"
        self.socket.pieces = [whole[:10], whole[10:]]
        self.assertEqual(await self.luxi.of("snf-42"), DETAILS)
        expected = {"method": "Query", "args": ["instance", list(FIELDS), ["=", "name", "snf-42"]]}
        self.assertEqual(self.socket.requests, [expected])

    async def test_no_answer(self):
        """A socket that hangs costs one limit; then it is left alone for a while."""
        before = reactor.seconds()
        self.assertEqual(await self.luxi.of("snf-42"), {})
        self.assertGreater(reactor.seconds() - before, 0.4)
        self.assertEqual(await self.luxi.of("snf-42"), {})
        self.assertEqual(len(self.socket.requests), 1)
        self.assertLess(reactor.seconds() - before, 5)

    async def test_broken(self):
        """A socket that hangs up, that floods, or that is not there: no details."""
        self.socket.hang_up = True
        self.assertEqual(await self.luxi.of("snf-42"), {})
        self.socket.hang_up = False
        self.socket.pieces = [b"x" * luxi.ANSWER_MAX_BYTES, b"x"]
        patient = luxi.LuxiDetails(self.path, 30.0, reactor)
        self.assertEqual(await patient.of("snf-42"), {})
        absent = luxi.LuxiDetails(self.folder / "other", 30.0, reactor)
        self.assertEqual(await absent.of("snf-42"), {})

    async def test_unknown_instance(self):
        """An instance that is gone is no failure of the socket."""
        refusal = {"success": False, "result": ["OpPrereqError", ["not found", "unknown_entity"]]}
        self.socket.pieces = [json.dumps(refusal).encode() + b"\x03"]
        self.assertEqual(await self.luxi.of("snf-1"), {})
        self.socket.pieces = [answer() + b"\x03"]
        self.assertEqual(await self.luxi.of("snf-42"), DETAILS)

    async def tearDown(self):
        """Nothing stays connected."""

        async def closed():
            return not self.socket.open

        await until(closed, 10, "connections closed")
