"""HTTP of sessions: /ui/session (web-ui reference §4)."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from synnefo_tx.identity.sessions import wire
from synnefo_tx.identity.sessions.cookie import Cookie
from synnefo_tx.identity.sessions.model import Visitor
from synnefo_tx.identity.sessions.operations import Sessions
from synnefo_tx.identity.sessions.rules import browser_text, number_of
from synnefo_tx.rest.endpoint import FORM, JSON, Call, Reply, endpoint


@frozen
class SessionRoutes:
    """What is at /ui/session."""

    sessions: Sessions
    cookie: Cookie

    @endpoint(
        "POST",
        "/session",
        action="identity:session:create",
        ways=("none",),
        body=wire.SignIn,
        request_types=(JSON, FORM),
        status=201,
        rate="login",
    )
    async def sign_in(self, call: Call[wire.SignIn]) -> Reply:
        """Sign a browser in with e-mail and password; the reply sets its cookie."""
        self.cookie.check_sign_in(call.header("Origin"), call.header("Sec-Fetch-Site"))
        visitor = Visitor(
            call.remote,
            browser_text(call.header("User-Agent")),
            self.cookie.value_in(call.header("Cookie")),
        )
        signed_in = await self.sessions.sign_in(call.body.email, call.body.password, visitor)
        headers = {"Set-Cookie": self.cookie.given(signed_in.value)}
        return Reply(wire.signed_in_document(signed_in.access), headers=headers)

    @endpoint("GET", "/session", action="identity:session:list")
    async def list(self, call: Call[None]) -> dict[str, Any]:
        """List the browsers in which the caller is signed in."""
        caller = call.caller
        found = await self.sessions.list_of(caller)
        return {"sessions": [wire.session_document(each, caller.session_id) for each in found]}

    @endpoint("DELETE", "/session", action="identity:session:end", ways=("session",), status=204)
    async def sign_out(self, call: Call[None]) -> Reply:
        """Sign the browser out that asks, and have it forget what it keeps of this site."""
        await self.sessions.end(call.caller.session_id, call.caller.user)
        return Reply(headers=self._forgotten())

    @endpoint("DELETE", "/session/<id>", action="identity:session:end", status=204)
    async def end(self, call: Call[None], id: str) -> Reply:
        """Sign one of the caller's browsers out."""
        number, caller = number_of(id), call.caller
        await self.sessions.end(number, caller.user)
        return Reply(headers=self._forgotten() if number == caller.session_id else {})

    def _forgotten(self) -> dict[str, str]:
        return {
            "Set-Cookie": self.cookie.taken_back(),
            "Clear-Site-Data": '"cache", "storage"',
        }
