"""Garbage, for as long as a leak needs to show."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_main")
