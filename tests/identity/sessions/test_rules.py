"""When a session ends by itself, and when its cookie is believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.identity.sessions.cookie import Cookie, cookie_of
from synnefo_tx.identity.sessions.rules import (
    BROWSER_MAX_CHARACTERS,
    browser_text,
    cookie_counts,
    is_staff,
    seconds_left,
    sign_in_counts,
)
from synnefo_tx.settings import Identity, SettingsError

OURS, FOREIGN = "https://cloud.example.org", "https://evil.example"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
SITES = (None, "none", "same-origin", "same-site", "cross-site", "garbage")
ORIGINS = (None, OURS, FOREIGN, "null", "")
HOUR, DAY = 3600, 86400
SECONDS = st.floats(0, 30 * DAY)


class CookieCountsTests(SynchronousTestCase):
    def counts(self, method, origin=None, fetch_site=None, from_ui=False) -> bool:
        return cookie_counts(method, {OURS}, origin=origin, fetch_site=fetch_site, from_ui=from_ui)

    def test_table(self) -> None:
        """Reading needs no foreign site; all else the interface's header and no foreign Origin."""
        for method, origin, site, from_ui, counts in (
            ("GET", None, None, False, True),
            ("GET", None, "same-origin", False, True),
            ("GET", None, "none", False, True),
            ("HEAD", None, "none", False, True),
            ("GET", FOREIGN, "cross-site", False, False),
            ("GET", None, "cross-site", False, False),
            ("GET", None, "same-site", False, False),
            ("GET", FOREIGN, "cross-site", True, False),
            ("POST", OURS, "same-origin", False, False),
            ("POST", None, None, False, False),
            ("POST", OURS, "same-origin", True, True),
            ("POST", None, None, True, True),
            ("DELETE", None, "same-origin", True, True),
            ("DELETE", "null", "cross-site", True, False),
            ("PUT", FOREIGN, "same-site", True, False),
            ("OPTIONS", OURS, "same-origin", False, False),
        ):
            with self.subTest(method=method, origin=origin, site=site, from_ui=from_ui):
                self.assertEqual(self.counts(method, origin, site, from_ui), counts)

    @given(
        st.sampled_from(METHODS) | st.text(max_size=8),
        st.sampled_from(ORIGINS),
        st.sampled_from(SITES),
    )
    def test_never_writes_without_header(self, method, origin, site) -> None:
        """What changes something never counts without the header, nor ever for a foreign page."""
        if method not in ("GET", "HEAD"):
            self.assertFalse(self.counts(method, origin, site))
            if origin not in (None, OURS):
                self.assertFalse(self.counts(method, origin, site, True))
        if site in ("same-site", "cross-site") and origin not in (None, OURS):
            self.assertFalse(self.counts(method, origin, site, True))

    def test_sign_in(self) -> None:
        """Only our own page signs a browser in, or what is no browser."""
        for origin, site, counts in (
            (None, None, True),
            (OURS, "same-origin", True),
            (FOREIGN, "cross-site", False),
            (FOREIGN, None, False),
            ("null", None, False),
            (None, "cross-site", False),
        ):
            self.assertEqual(sign_in_counts({OURS}, origin=origin, fetch_site=site), counts)


class LifeTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Twelve idle hours and seven days; for staff an hour and twelve."""
        own = Identity()
        for roles, age, idle, left in (
            ((), 0, 0, 12 * HOUR),
            ((), DAY, 12 * HOUR - 1, 1),
            ((), DAY, 12 * HOUR, 0),
            ((), 7 * DAY - 5, 0, 5),
            (("group",), 7 * DAY, 0, 0),
            (("admin",), 0, 0, HOUR),
            (("helpdesk",), 12 * HOUR - 9, 0, 9),
            (("admin-readonly", "x"), HOUR, HOUR, 0),
        ):
            self.assertEqual(seconds_left(own, roles, age, idle), left)

    @given(st.sets(st.sampled_from(["admin", "helpdesk", "a", "b"])), SECONDS, SECONDS)
    def test_never_longer(self, roles, age, idle) -> None:
        """Nothing prolongs a session but its use; staff have never more than others."""
        own = Identity()
        left = seconds_left(own, roles, age, idle)
        self.assertLessEqual(left, seconds_left(own, roles - {"admin", "helpdesk"}, age, idle))
        self.assertLessEqual(seconds_left(own, roles, age + 1, idle + 1), left)
        self.assertLessEqual(left, own.session_seconds - age)
        self.assertEqual(is_staff(roles), bool(roles & {"admin", "helpdesk"}))


class CookieTests(SynchronousTestCase):
    def test_form(self) -> None:
        """With TLS the name is bound to this host; script never reads the value."""
        self.assertEqual(
            cookie_of("https://cloud.example.org").given("v"),
            "__Host-synnefo=v; Path=/; Secure; HttpOnly; SameSite=Lax",
        )
        plain = cookie_of("http://127.0.0.1:8080")
        self.assertEqual(plain.given("v"), "synnefo=v; Path=/; HttpOnly; SameSite=Lax")
        self.assertTrue(plain.taken_back().startswith("synnefo=; "))
        self.assertIn("Max-Age=0", plain.taken_back())
        self.assertRaises(SettingsError, cookie_of, "cloud.example.org")

    def test_values(self) -> None:
        """The value is found among others; two that differ are none."""
        cookie = Cookie("synnefo", False, frozenset())
        for header, value in (
            (None, None),
            ("", None),
            ("synnefo=abc", "abc"),
            ("a=b; synnefo=abc ;c=d", "abc"),
            ("xsynnefo=abc; synnefo2=x", None),
            ("synnefo=", None),
            ("synnefo", None),
            ("synnefo=a; synnefo=a", "a"),
            ("synnefo=a; synnefo=b", None),
            ("Synnefo=a", None),
        ):
            self.assertEqual(cookie.value_in(header), value)

    @given(st.text(max_size=300))
    def test_browser(self, text) -> None:
        """What a browser calls itself is kept without what cannot be seen, and not at length."""
        kept = browser_text(text)
        self.assertTrue(kept.isprintable())
        self.assertLessEqual(len(kept), BROWSER_MAX_CHARACTERS)
        self.assertEqual(browser_text(kept), kept)
        self.assertEqual(browser_text(None), "")
