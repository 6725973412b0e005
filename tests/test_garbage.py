"""Garbage for a few seconds; acceptance has it for ten minutes."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.garbage_cases import GarbageCases


class GarbageTests(GarbageCases, TestCase):
    timeout = 90
    warm_up_seconds = 4.0
    seconds = 6.0
