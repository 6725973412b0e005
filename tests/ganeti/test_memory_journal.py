"""The state of a cluster in memory outlives any crash, as a prefix of what was committed."""

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.memory import MemoryGaneti
from synnefo_tx.ganeti.memory.journal import Journal
from synnefo_tx.ganeti.memory.model import Disk, Group, Instance, Job, Network, Nic, Op
from synnefo_tx.ganeti.memory.store import Store
from synnefo_tx.ganeti.rapi import ClusterEndpoint, TreqRapi
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec

NAMES = st.sampled_from(["a", "b", "ψ"])
TEXTS = st.text(max_size=5)
OPTIONAL_TEXTS = st.none() | TEXTS
DISKS = st.builds(Disk, TEXTS, OPTIONAL_TEXTS, st.integers(1, 99), st.just("file"), content=TEXTS)
NICS = st.builds(
    Nic, TEXTS, OPTIONAL_TEXTS, TEXTS, OPTIONAL_TEXTS, OPTIONAL_TEXTS, st.just("bridged"), TEXTS
)
TAGS = st.lists(TEXTS, max_size=2).map(tuple)
TIMES = st.floats(0, 2e9)
PARAMS = st.dictionaries(TEXTS, st.integers() | st.booleans() | TEXTS, max_size=2)
OPS = st.builds(
    Op,
    st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=2), max_size=2),
    TEXTS,
    st.sampled_from(["queued", "running", "success"]),
    st.none() | TEXTS,
    st.lists(st.tuples(st.integers(1, 9), st.just([1, 2]), TEXTS), max_size=2).map(tuple),
)
VALUES = {
    "groups": st.builds(Group, NAMES, TEXTS),
    "detached": DISKS,
    "networks": st.builds(
        Network,
        NAMES,
        TEXTS,
        TEXTS,
        OPTIONAL_TEXTS,
        OPTIONAL_TEXTS,
        OPTIONAL_TEXTS,
        OPTIONAL_TEXTS,
        TAGS,
        TAGS,
        TIMES,
        st.dictionaries(TEXTS, st.tuples(TEXTS, TEXTS, TEXTS), max_size=2),
    ),
    "instances": st.builds(
        Instance,
        NAMES,
        TEXTS,
        TEXTS,
        TEXTS,
        TEXTS,
        TEXTS,
        TEXTS,
        PARAMS,
        PARAMS,
        st.dictionaries(TEXTS, TEXTS, max_size=2),
        st.lists(NICS, max_size=2).map(tuple),
        st.lists(DISKS, max_size=2).map(tuple),
        TAGS,
        TIMES,
        TIMES,
        network_port=st.none() | st.integers(1, 9),
        guest=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ),
    "jobs": st.builds(
        Job, st.integers(1, 9), st.lists(OPS, min_size=1, max_size=2).map(tuple), TIMES
    ),
}
CHANGES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda table: st.tuples(st.just(table), NAMES, st.none() | VALUES[table])
)
COMMITS = st.lists(st.lists(CHANGES, min_size=1, max_size=3), max_size=6)


class CrashTests(SynchronousTestCase):
    """Any sequence of commits, cut anywhere."""

    def journal(self, content=None, **options):
        path = Path(self.mktemp())
        if content is not None:
            path.write_bytes(content)
        store = Store()
        return path, store, Journal(path, store, **options)

    @settings(max_examples=60, deadline=None)
    @given(COMMITS, st.data())
    def test_cut_anywhere(self, commits, data):
        """What is read after a crash at any byte is what a prefix of the commits had made."""
        path, store, journal = self.journal()
        states = [Store().tables]
        for commit in commits:
            store.commit(*commit)
            states.append({name: dict(rows) for name, rows in store.tables.items()})
        journal.close()
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        whole = content[:cut].count(b"\n")
        _, after, again = self.journal(content[:cut])
        self.assertEqual(after.tables, states[whole])
        after.commit(("groups", "new", Group("new", "u")))
        again.close()
        self.assertEqual(again._path.read_bytes().count(b"\n"), whole + 1)

    @settings(max_examples=30, deadline=None)
    @given(COMMITS)
    def test_compaction_keeps_the_state(self, commits):
        """A journal that was compacted at every commit tells the same state."""
        path, store, journal = self.journal(compact_after_bytes=0)
        for commit in commits:
            store.commit(*commit)
        journal.close()
        _, after, again = self.journal(path.read_bytes())
        again.close()
        self.assertEqual(after.tables, store.tables)
        self.assertLessEqual(path.read_bytes().count(b"\n"), 1)

    def test_spoilt_record(self):
        """A record whose bytes changed is not believed, nor what follows it."""
        path, store, journal = self.journal()
        for name in ("one", "two", "three"):
            store.commit(("groups", name, Group(name, "u")))
        journal.close()
        _, after, again = self.journal(path.read_bytes().replace(b"two", b"tvo"))
        again.close()
        self.assertEqual(sorted(after.groups), ["one"])


class PowerCutTests(SynchronousTestCase):
    """A cluster that loses power at any moment of a creation."""

    def test_jobs_after_a_power_cut(self):
        """Jobs that had begun have died, queued ones go on, what was configured is there."""
        for step in range(12):
            clock, store = Clock(), Store()
            ganeti = MemoryGaneti(clock, random.Random(1), store=store)
            spec = InstanceSpec(
                "snf-1", "snf-image+default", "file", "fake", [DiskSpec("d", 64)], [], 1, 128
            )
            self.call(ganeti, clock, "create_instance", requests.create_body(spec), "r")
            clock.pump([0.1] * step)
            before = store.jobs["1"].status
            configured = "snf-1" in store.instances
            ganeti.stop()
            frozen = {name: dict(rows) for name, rows in store.tables.items()}
            clock.pump([1.0] * 3)
            self.assertEqual(store.tables, frozen)
            reborn = MemoryGaneti(clock, random.Random(2), store=store)
            clock.pump([0.1] * 20)
            job = store.jobs["1"]
            if before in ("queued", "success"):
                self.assertEqual(job.status, "success", step)
            else:
                self.assertEqual(job.ops[0].result, "detected death of job 1", step)
                self.assertEqual("snf-1" in store.instances, configured, step)
            again = self.call(reborn, clock, "create_instance", requests.create_body(spec), "r")
            clock.pump([0.1] * 20)
            expected = "error" if "snf-1" in frozen["instances"] or before == "queued" else None
            self.assertEqual(store.jobs[str(again)].status, expected or "success", step)

    def call(self, ganeti, clock, name, *args):
        endpoint = ClusterEndpoint("m", "memory.example", 1, "synnefo", "synnefo")
        rapi = TreqRapi(ganeti.agent(), endpoint, clock)
        return self.successResultOf(Deferred.fromCoroutine(getattr(rapi, name)(*args)))
