"""The API over TLS of its own, as an installation without a proxy in front serves it."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import tempfile
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from synnefo_tx.cli.context import opened
from synnefo_tx.console.certificate import self_signed
from tests.support.database import TestServer
from tests.support.identity import make_user
from tests.support.processes import CloudProcess

PASSWORD = "a long enough password"
EMAIL = "tls@example.org"


class HttpsTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:
        server = TestServer.get()
        await server.template()
        url = server.clone()
        self.addCleanup(server.drop, url)
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-https-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.certificate, key = self_signed(self.folder / "tls", [], datetime.now(UTC))
        changes = {
            "DATABASE__URL": url,
            "HTTP__TLS_CERTIFICATE": str(self.certificate),
            "HTTP__TLS_KEY": str(key),
        }
        self.cloud = CloudProcess(self.folder / "home", changes, "--role", "api")
        self.addCleanup(self.cloud.end)
        self.cloud.start()
        await self.cloud.wait_output(b"ready https://")

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str]]:
        """Status and headers; the certificate and its name are verified."""
        port = self.cloud.settings.http.port
        connection = HTTPSConnection("127.0.0.1", port, timeout=20, context=self.context())
        headers = {"Content-Type": "application/json", "X-Synnefo-UI": "1"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    def greet(self, version: ssl.TLSVersion) -> str | None:
        context = self.context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        plain = socket.create_connection(("127.0.0.1", self.cloud.settings.http.port), 5)
        with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            return secured.version()

    async def test_served(self) -> None:
        """TLS 1.2 and 1.3 are spoken, 1.1 is not; browsers are told to stay with TLS, and their
        cookie is bound to it and to this host (ASVS 3.3.2, 3.4.1, 12.1.1)."""
        with self.assertRaises(ssl.SSLError):
            await deferToThread(self.greet, ssl.TLSVersion.TLSv1_1)
        self.assertEqual(await deferToThread(self.greet, ssl.TLSVersion.TLSv1_2), "TLSv1.2")
        self.assertEqual(await deferToThread(self.greet, ssl.TLSVersion.TLSv1_3), "TLSv1.3")
        status, headers = await deferToThread(self.ask, "GET", "/health")
        self.assertEqual(status, 200)
        self.assertIn("max-age=", headers["strict-transport-security"])
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            hashed = PasswordHasher.from_parameters(CHEAPEST).hash(PASSWORD)
            await make_user(app.database, EMAIL, password_hash=hashed)
        signing = {"email": EMAIL, "password": PASSWORD}
        status, headers = await deferToThread(self.ask, "POST", "/ui/session", signing)
        self.assertEqual(status, 201)
        cookie = headers["set-cookie"]
        self.assertTrue(cookie.startswith("__Host-"), cookie)
        for part in ("Secure", "HttpOnly", "SameSite=", "Path=/"):
            self.assertIn(part, cookie)
