"""The simulator's campaigns with larger bounds: every statement, more seeds, random load."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_main")
