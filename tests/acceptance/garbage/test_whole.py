"""Ten minutes of garbage."""

from twisted.trial.unittest import TestCase

from tests.garbage_cases import GarbageCases


class TenMinuteTests(GarbageCases, TestCase):
    timeout = 900
    warm_up_seconds = 30.0
    seconds = 600.0
