"""A minute of garbage."""

from twisted.trial.unittest import TestCase

from tests.garbage_cases import GarbageCases


class MinuteTests(GarbageCases, TestCase):
    timeout = 300
    warm_up_seconds = 20.0
    seconds = 60.0
