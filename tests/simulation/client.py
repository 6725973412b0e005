"""A client of the API: one request, one answer."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from synnefo_tx.ganeti.transport import WholeBody


@frozen
class Answer:
    """What came back. Status 0: the connection was cut, the outcome is not known."""

    status: int
    json: Any
    text: str
    date: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether the request may have had its effect although it was not confirmed."""
        return self.status == 0 or "outcome of the request is not known" in self.text

    @property
    def accepted(self) -> bool:
        """Whether the effect was promised."""
        return 200 <= self.status < 300


class Client:
    """Asks over one agent."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def ask(self, method: str, url: str, body: Any, token: str, key: str = "") -> Deferred[Answer]:
        """Ask; the Deferred never fires if the connection is cut."""
        headers = Headers({"Content-Type": ["application/json"]})
        if token:
            headers.addRawHeader("X-Auth-Token", token)
        if key:
            headers.addRawHeader("Idempotency-Key", key)
        producer = None if body is None else WholeBody(json.dumps(body).encode())
        asked = self._agent.request(method.encode(), url.encode(), headers, producer)
        return asked.addCallback(self._read)

    def _read(self, response: Any) -> Deferred[Answer]:
        body: Deferred[bytes] = readBody(response)
        date = response.headers.getRawHeaders("Date", [""])[0]
        return body.addCallback(lambda content: _answer(response.code, content, date))


def _answer(status: int, content: bytes, date: str) -> Answer:
    text = content.decode()
    is_json = text.startswith(("{", "["))
    return Answer(status, json.loads(text) if is_json else None, text, date)
