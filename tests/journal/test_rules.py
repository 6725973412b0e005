"""Which months have partitions."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.journal import rules


class MonthTests(SynchronousTestCase):
    def test_wanted(self) -> None:
        """This month and the two after it have partitions, and months of which rows were left."""
        today = date(2026, 11, 21)
        november, december, january = date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)
        self.assertEqual(rules.wanted(today, [], []), [november, december, january])
        self.assertEqual(rules.wanted(today, [november, january], []), [december])
        march = date(2020, 3, 1)
        self.assertEqual(rules.wanted(today, [november, december], [march]), [march, january])

    def test_past(self) -> None:
        """Whole months beyond those that are kept are past; 0 keeps all."""
        today = date(2026, 3, 31)
        months = [rules.later(date(2024, 1, 1), n) for n in range(29)]
        self.assertEqual(rules.past(months, today, 24), [date(2024, 1, 1), date(2024, 2, 1)])
        self.assertEqual(rules.past(reversed(months), today, 1)[-1], date(2026, 1, 1))
        self.assertEqual(rules.past(months, today, 0), [])

    def test_clock_ahead(self) -> None:
        """A clock that jumps years ahead takes no more months than it makes."""
        months = [rules.later(date(2024, 1, 1), n) for n in range(29)]
        self.assertEqual(len(rules.past(months, date(2036, 3, 31), 24)), 4)
        self.assertEqual(rules.past(months[-25:], date(2036, 3, 31), 24), [])

    @given(st.dates(date(1900, 1, 1), date(2900, 1, 1)), st.integers(-500, 500))
    def test_later(self, day: date, months: int) -> None:
        """Months add up, and a name leads back to its month."""
        month = rules.month_of(day)
        there = rules.later(month, months)
        self.assertEqual(rules.later(there, -months), month)
        self.assertEqual(rules.parse(rules.name_of(there)), there)

    def test_names(self) -> None:
        """What takes the rest is no month."""
        self.assertIsNone(rules.parse("journal_rest"))
