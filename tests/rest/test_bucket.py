"""Token buckets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.rest.bucket import Rate, take

RATES = st.builds(Rate, st.floats(1, 10_000), st.integers(1, 500))
PAUSES = st.lists(st.floats(0, 30), max_size=60)


class BucketTests(SynchronousTestCase):
    def test_burst(self) -> None:
        """A fresh bucket gives its burst at once, then one token per pause."""
        rate, full_at = Rate(60, 3), 0.0
        waits = []
        for _ in range(5):
            taken = take(rate, full_at, 1000.0)
            full_at = taken.full_at
            waits.append(taken.wait_seconds)
        self.assertEqual(waits, [0.0, 0.0, 0.0, 1.0, 1.0])
        self.assertEqual(take(rate, full_at, 1001.0).wait_seconds, 0.0)
        self.assertEqual(take(rate, full_at, 1000.5).wait_seconds, 0.5)

    @settings(max_examples=60)
    @given(RATES, PAUSES)
    def test_never_more(self, rate: Rate, pauses: list[float]) -> None:
        """In no span of time more is had than the burst and what came in it; and who is told to
        wait gets a token after just that time."""
        now, full_at = 1_000.0, 0.0
        had: list[float] = []
        for pause in pauses:
            now += pause
            taken = take(rate, full_at, now)
            full_at = taken.full_at
            if taken.wait_seconds:
                later = now + taken.wait_seconds
                self.assertEqual(take(rate, full_at, later).wait_seconds, 0.0)
                self.assertGreater(take(rate, full_at, now).wait_seconds, 0.0)
            else:
                had.append(now)
        for first, begun in enumerate(had):
            for last in range(first, len(had)):
                most = rate.burst + (had[last] - begun) / rate.pause_seconds + 1e-3
                self.assertLessEqual(last - first + 1, most)

    @given(RATES, st.floats(0, 1e9))
    def test_clock_set_back(self, rate: Rate, full_at: float) -> None:
        """A clock that was set back makes nobody wait longer than for the whole burst."""
        taken = take(rate, full_at, 0.0)
        self.assertLessEqual(taken.wait_seconds, rate.pause_seconds * (1 + 1e-6))
