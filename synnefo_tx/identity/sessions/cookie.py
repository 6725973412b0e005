"""The cookie of a session (web-ui reference §3): its name, how it is set, when it is believed."""

from __future__ import annotations

from attrs import frozen
from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Forbidden
from synnefo_tx.identity.sessions import rules
from synnefo_tx.identity.sessions.operations import Sessions
from synnefo_tx.rest.origin import own_origins
from synnefo_tx.settings import SettingsError

PLAIN_NAME = "synnefo"
TLS_NAME = "__Host-synnefo"
UI_HEADER = "X-Synnefo-UI"


@frozen
class Cookie:
    """How browsers keep a session of this site. The prefix ``__Host-`` has them refuse it from
    other hosts, from plain HTTP and for a part of the site (RFC 6265bis §4.1.3)."""

    name: str
    is_secure: bool
    origins: frozenset[str]

    def given(self, value: str) -> str:
        """Set-Cookie for a session's value; script cannot read it."""
        secure = "; Secure" if self.is_secure else ""
        return f"{self.name}={value}; Path=/{secure}; HttpOnly; SameSite=Lax"

    def taken_back(self) -> str:
        """Set-Cookie that has the browser forget it."""
        return f"{self.given('')}; Max-Age=0"

    def value_in(self, header: str | None) -> str | None:
        """The value in a Cookie header; None where there is none, or two that differ."""
        found = set()
        for pair in (header or "").split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals and name == self.name and value:
                found.add(value)
        return found.pop() if len(found) == 1 else None

    def check_sign_in(self, origin: str | None, fetch_site: str | None) -> None:
        """Raise Forbidden for a sign-in that another site's page makes."""
        if not rules.sign_in_counts(self.origins, origin=origin, fetch_site=fetch_site):
            raise Forbidden("Sign in on this site's own page")


def cookie_of(site_url: str) -> Cookie:
    """The cookie of a site; raises SettingsError when that is no URL."""
    is_secure = site_url.startswith("https:")
    try:
        origins = own_origins(site_url)
    except ValueError as error:
        raise SettingsError(f"http.base_url cannot be used: {error}") from None
    return Cookie(TLS_NAME if is_secure else PLAIN_NAME, is_secure, origins)


@frozen
class ByCookie:
    """The way ``session``: a cookie in place of a token."""

    cookie: Cookie
    sessions: Sessions

    async def __call__(self, request: Request) -> Caller | None:
        """Who is signed in. A cookie that does not count is none: browsers send it unasked."""
        value = self.cookie.value_in(request.getHeader("Cookie"))
        if value is None or not rules.cookie_counts(
            request.method.decode("ascii", "replace"),
            self.cookie.origins,
            origin=request.getHeader("Origin"),
            fetch_site=request.getHeader("Sec-Fetch-Site"),
            from_ui=request.getHeader(UI_HEADER) == "1",
        ):
            return None
        access = await self.sessions.examine(value)
        return None if access is None else access.caller
