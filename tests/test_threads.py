"""Pools of threads: where work runs, how much may wait, what is left at the end."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

import synnefo_tx
from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.operation.threads import ThreadGauges
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.settings import Threads as Settings
from synnefo_tx.threads import BoundedThreads, ThreadService, ThreadUse

ROOT = Path(synnefo_tx.__file__).parent


class BoundedThreadsTests(TestCase):
    def start(self, threads: int, waiting: int) -> BoundedThreads:
        pool = BoundedThreads("testing", threads, waiting, reactor)
        self.addCleanup(pool.stop)
        return pool

    async def test_elsewhere(self) -> None:
        """Work runs in another thread, and what it raises is raised."""
        pool = self.start(1, 1)
        self.assertNotEqual(await pool.run(threading.get_ident), threading.get_ident())
        with self.assertRaises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)

    async def test_bound(self) -> None:
        """One runs, two wait, the next is a 503; when they are done there is room again."""
        pool = self.start(1, 2)
        gate = threading.Event()
        self.addCleanup(gate.set)
        works = [Deferred.fromCoroutine(pool.run(gate.wait)) for _ in range(3)]
        with self.assertRaises(ServiceUnavailable):
            await pool.run(gate.wait)
        gate.set()
        for work in works:
            self.assertTrue(await work)
        self.assertTrue(await pool.run(gate.wait))

    async def test_cancelled(self) -> None:
        """A caller that gives up frees the place only when the thread is done."""
        pool = self.start(1, 0)
        gate = threading.Event()
        self.addCleanup(gate.set)
        work = Deferred.fromCoroutine(pool.run(gate.wait))
        work.addErrback(lambda failure: None)
        work.cancel()
        with self.assertRaises(ServiceUnavailable):
            await pool.run(gate.wait)

    async def test_stop(self) -> None:
        """Stopping refuses what waits and leaves no thread."""
        pool = self.start(1, 5)
        gate = threading.Event()
        started = threading.Event()
        first = Deferred.fromCoroutine(pool.run(lambda: started.set() or gate.wait()))
        second = Deferred.fromCoroutine(pool.run(gate.wait))
        started.wait(10)
        threading.Timer(0.05, gate.set).start()
        pool.stop()
        self.assertTrue(await first)
        with self.assertRaises(ServiceUnavailable):
            await second
        with self.assertRaises(ServiceUnavailable):
            await pool.run(gate.wait)
        self.assertEqual([t.name for t in threading.enumerate() if "testing" in t.name], [])

    async def test_use(self) -> None:
        """What runs, waits, ended and was refused is counted, with the time in threads."""
        pool = self.start(1, 1)
        gate = threading.Event()
        self.addCleanup(gate.set)
        works = [Deferred.fromCoroutine(pool.run(gate.wait)) for _ in range(2)]
        with self.assertRaises(ServiceUnavailable):
            await pool.run(gate.wait)
        self.assertEqual(evolve(pool.use, seconds=0), ThreadUse(1, 1, 0, 1, 0))
        gate.set()
        for work in works:
            await work
        self.assertEqual(evolve(pool.use, seconds=0), ThreadUse(0, 0, 2, 1, 0))
        self.assertGreater(pool.use.seconds, 0)

    async def test_service(self) -> None:
        """A process has a pool for each purpose, of the size that the settings say; what one
        purpose takes, another keeps; they tell their use and end with the process."""
        service = ThreadService(Settings(password_threads=1, password_waiting_max=0), reactor)
        self.addCleanup(service.stopService)
        gate = threading.Event()
        work = Deferred.fromCoroutine(service.pools.passwords.run(gate.wait))
        with self.assertRaises(ServiceUnavailable):
            await service.pools.passwords.run(gate.wait)
        self.assertEqual(await service.pools.files.run(lambda: 1), 1)
        metrics = Metrics()
        ThreadGauges(metrics, service.pools).refresh()
        text = (await metrics.text()).decode()
        self.assertIn('synnefo_threads_running{purpose="passwords"} 1.0', text)
        self.assertIn('synnefo_threads_refused{purpose="passwords"} 1.0', text)
        self.assertIn('synnefo_threads_done{purpose="files"} 1.0', text)
        gate.set()
        self.assertTrue(await work)
        service.stopService()
        with self.assertRaises(ServiceUnavailable):
            await service.pools.files.run(lambda: 1)


class OneWayTests(SynchronousTestCase):
    def test_one_way(self) -> None:
        """Nothing but these pools uses threads."""
        found = {
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*.py")
            if re.search(r"deferToThread|callInThread|ThreadPool\b", path.read_text("utf-8"))
        }
        self.assertEqual(found, {"threads.py"})
