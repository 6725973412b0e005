"""Settings: precedence, and what is told of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

from attrs import fields
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx import settings
from synnefo_tx.settings import SettingsError
from tests.support.reference import settings_reference

ROOT = Path(__file__).parent.parent


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.environ = {"SYNNEFO_HOME": str(self.home)}

    def write(self, text: str) -> None:
        (self.home / "synnefo.toml").write_text(text)

    def refused(self, **environ: str) -> str:
        error = self.assertRaises(SettingsError, settings.load, self.environ | environ)
        return str(error)

    def test_defaults(self) -> None:
        """Without file and variables the defaults hold."""
        loaded = settings.load(self.environ)
        self.assertEqual((loaded.http.port, loaded.console.port), (8080, 8443))
        self.assertEqual(loaded.site_url, "http://127.0.0.1:8080")
        self.assertEqual(loaded.console_url, "wss://127.0.0.1:8443/console")

    def test_units(self) -> None:
        """Every number has a unit: in its name, or beside it."""
        unitless = [
            f"{name}.{each.name}"
            for name, group in settings.groups().items()
            for each in fields(group)
            if get_type_hints(group)[each.name] in (int, float, tuple[int, ...])
            and not settings.unit_of(each)
        ]
        self.assertEqual(unitless, [])

    def test_defaults_are_within(self) -> None:
        """Every default is a value that the field would take."""
        strange = [
            f"{name}.{each.name}"
            for name, group in settings.groups().items()
            for each in fields(group)
            if not settings.is_within(each, getattr(group(), each.name))
        ]
        self.assertEqual(strange, [])

    def test_bounds(self) -> None:
        """A number that would bring all to a stand, or that is none, is refused with what it must
        be, be it in the file or a variable; 0 is taken where it means something."""
        for variable, value in {
            "SYNNEFO_DATABASE__CONNECTIONS_MAX": "0",
            "SYNNEFO_GANETI__OPEN_POLL_SECONDS": "-1",
            "SYNNEFO_GANETI__LISTING_SECONDS": "nan",
            "SYNNEFO_HTTP__DRAIN_LIMIT_SECONDS": "inf",
            "SYNNEFO_HTTP__PORT": "65536",
            "SYNNEFO_CONSOLE__SCREEN_PORTS": "11000,70000",
            "SYNNEFO_RATES__READ_PER_MINUTE": "-1",
        }.items():
            self.assertRegex(self.refused(**{variable: value}), f"{variable} must be .*0")
        self.write("[http]\nworkers = 0\n")
        self.assertIn("http.workers must be more than 0, not 0", self.refused())
        self.write("[rates]\nread_per_minute = 0\n[http]\nport = 0\n")
        self.assertEqual(settings.load(self.environ).rates.read_per_minute, 0)

    def test_originals(self) -> None:
        """Names in the original are those of its settings modules."""
        for group in settings.groups().values():
            for each in fields(group):
                for name in filter(None, each.metadata["original"].split(", ")):
                    self.assertRegex(name, r"^[A-Z][A-Z0-9_]+$")

    def test_precedence(self) -> None:
        """A variable beats the file, the file beats the default."""
        self.write('[http]\nport = 9000\nhost = "127.0.0.2"\n')
        loaded = settings.load(self.environ | {"SYNNEFO_HTTP__PORT": "9001"})
        self.assertEqual((loaded.http.port, loaded.http.host), (9001, "127.0.0.2"))

    def test_kinds(self) -> None:
        """Lists, truth values and numbers are read from variables."""
        loaded = settings.load(
            self.environ
            | {
                "SYNNEFO_HTTP__TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2",
                "SYNNEFO_DEMO__ENABLED": "yes",
                "SYNNEFO_GANETI__OPEN_POLL_SECONDS": "0.5",
            }
        )
        self.assertEqual(loaded.http.trusted_proxies, ("10.0.0.1", "10.0.0.2"))
        self.assertEqual((loaded.demo.enabled, loaded.ganeti.open_poll_seconds), (True, 0.5))

    def test_wrong_variables(self) -> None:
        """A wrong value or an unknown variable is named."""
        self.assertIn("SYNNEFO_HTTP__PORT", self.refused(SYNNEFO_HTTP__PORT="x"))
        self.assertIn("SYNNEFO_HTTP__PROT", self.refused(SYNNEFO_HTTP__PROT="1"))
        self.assertIn("true or false", self.refused(SYNNEFO_DEMO__ENABLED="maybe"))

    def test_wrong_files(self) -> None:
        """A broken file, an unknown group or setting, and a wrong type are named."""
        for text, expected in (
            ("[http", "not TOML"),
            ("[htp]\n", "htp"),
            ("[http]\nprot = 1\n", "http.prot"),
            ('[http]\nport = "8080"\n', "http.port"),
            ("http = 1\n", "must be a table"),
        ):
            self.write(text)
            self.assertIn(expected, self.refused())

    def test_named_file(self) -> None:
        """A file that was named must be there."""
        self.assertIn("does not exist", self.refused(SYNNEFO_CONFIG="/nonexistent.toml"))

    def test_reference(self) -> None:
        """docs/settings.md is what the fields say: python -m tests.support.reference writes it."""
        written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
        self.assertEqual(written, settings_reference())

    def test_secrets_are_not_shown(self) -> None:
        """The settings' text form holds no TLS key's path contents and no password."""
        self.assertNotIn("PRIVATE", repr(settings.load(self.environ)))
