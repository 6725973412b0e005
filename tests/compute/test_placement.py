"""Placement and charges: pure."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute import charges
from synnefo_tx.compute.flavors.model import Flavor, VolumeType
from synnefo_tx.compute.placement import fits, ranked, score
from synnefo_tx.compute.servers.model import Volume
from synnefo_tx.ganeti.backends.model import Backend, Size
from synnefo_tx.units import GIB, MIB
from tests.compute.servers.test_lifecycle import server

FILE = VolumeType(1, "file", "file", False)
SIZE = Size(ram_mib=512, disk_mib=5120)


def backend(id: int = 1, **changes) -> Backend:
    plain = Backend(
        id=id, clustername=f"c{id}", host="h", port=5080, username="u", password_sealed=b"",
        ca_pem=None, fingerprint=None, drained=False, offline=False, public=True, hypervisor="kvm",
        version="3.0.2", disk_templates=["file"], node_groups=["default"], mfree_mib=8192,
        mtotal_mib=8192, dfree_mib=100_000, dtotal_mib=100_000, ctotal=16, pinst_cnt=0,
        reserved_mib=0, reserved_disk_mib=0, reserved_instances=0, stats_at=None, last_job_id=0,
    )  # fmt: skip
    return evolve(plain, **changes)


figures = st.builds(
    backend,
    id=st.integers(1, 100),
    mfree_mib=st.integers(0, 10_000),
    dfree_mib=st.integers(0, 20_000),
    reserved_mib=st.integers(0, 10_000),
    reserved_disk_mib=st.integers(0, 20_000),
    ctotal=st.integers(0, 32),
    pinst_cnt=st.integers(0, 30),
    drained=st.booleans(),
    offline=st.booleans(),
)


class PlacementTests(SynchronousTestCase):
    def test_fits(self) -> None:
        """A cluster takes a server only with more room than it needs, by what is reserved too."""
        self.assertTrue(fits(backend(), SIZE, "file"))
        for wrong in (
            {"drained": True},
            {"offline": True},
            {"public": False},
            {"disk_templates": ["plain"]},
            {"mfree_mib": 512},
            {"reserved_mib": 8192 - 512},
            {"dfree_mib": 5120},
            {"ctotal": 0},
            {"pinst_cnt": 11},
            {"reserved_instances": 11},
        ):
            self.assertFalse(fits(backend(**wrong), SIZE, "file"), wrong)

    def test_emptiest_first(self) -> None:
        """The emptiest cluster comes first; of equals the lowest number."""
        full = backend(1, mfree_mib=1000)
        found = ranked([backend(3), full, backend(2)], SIZE, "file")
        self.assertEqual([each.id for each in found], [2, 3, 1])

    @given(st.lists(figures, max_size=8))
    def test_ranked(self, backends) -> None:
        """Only clusters that fit are ranked, all of them, by score."""
        found = ranked(backends, SIZE, "file")
        self.assertEqual(len(found), sum(fits(each, SIZE, "file") for each in backends))
        scores = [score(each, SIZE) for each in found]
        self.assertEqual(scores, sorted(scores))


class ChargeTests(SynchronousTestCase):
    flavor = Flavor(1, 2, 1024, 5, FILE, True, True, False)

    def test_states(self) -> None:
        """CPU and RAM count while a server runs, is built or in error; the totals always."""
        total = {charges.VM: 1, charges.TOTAL_CPU: 2, charges.TOTAL_RAM: 1024 * MIB}
        running = total | {charges.CPU: 2, charges.RAM: 1024 * MIB}
        for state in ("BUILD", "STARTED", "ERROR"):
            self.assertEqual(charges.of_server(server(operstate=state), self.flavor), running)
        self.assertEqual(charges.of_server(server(operstate="STOPPED"), self.flavor), total)
        gone = server(operstate="DESTROYED", deleted=True)
        self.assertEqual(charges.of_server(gone, self.flavor), {})

    def test_build(self) -> None:
        """A build is charged what the new server and its volume count."""
        live = charges.total(
            charges.of_server(server(), self.flavor),
            charges.of_volumes([Volume(1, 5, "CREATING", False), Volume(2, 9, "DELETED", True)]),
        )
        self.assertEqual(charges.of_build(self.flavor), live)
        self.assertEqual(live[charges.DISK], 5 * GIB)

    @given(*[st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9)) for _ in range(2)])
    def test_difference(self, before, after) -> None:
        """A difference leads from one to the other and holds no zeros."""
        delta = charges.difference(after, before)
        self.assertNotIn(0, delta.values())
        result = {key: n for key, n in charges.total(before, delta).items() if n}
        self.assertEqual(result, after)
