"""The console built from settings."""

import os
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import TestCase

from synnefo_tx.console.service import build
from synnefo_tx.settings import Console, Settings, SettingsError
from tests.console.support import MemoryTargets


class ServiceTests(TestCase):
    def setUp(self):
        self.settings = Settings(home=Path(self.mktemp()).absolute(), console=Console(port=0))

    def build(self, **changes):
        settings = evolve(self.settings, console=evolve(self.settings.console, **changes))
        return build(reactor, settings, MemoryTargets(), os.urandom, datetime.now(UTC))

    async def test_listens_and_stops(self):
        """It listens with a certificate of its own and leaves the port when it stops."""
        service = self.build()
        service.startService()
        port = service.listener.port
        self.assertEqual((self.settings.home / "tls/console-key.pem").stat().st_mode & 0o77, 0)
        with self.assertRaises(CannotListenError):
            self.build(port=port).listener.startService()
        await service.stopService()
        again = self.build(port=port)
        again.startService()
        self.assertEqual(again.listener.port, port)
        await again.stopService()

    def test_unusable_settings(self):
        """A missing certificate, an Origin that is none and half a range are named."""
        for changes, text in (
            ({"tls_certificate": "/absent.pem"}, "/absent.pem"),
            ({"allowed_origins": ("cloud.example.org",)}, "cloud.example.org"),
            ({"screen_ports": (11000,)}, "screen_ports"),
        ):
            with self.assertRaisesRegex(SettingsError, text):
                self.build(**changes)
