"""Which requests may be upgraded."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.console.admission import admitted_ticket, allowed_origins

TICKET = "A-Za_z0123456789abcdefghijklmnopqrstuvwxyz0"
ORIGINS = allowed_origins("https://cloud.example.org/", 8080, 8443, ["https://ui.example.org:444"])


def head(path=f"/console/{TICKET}", origin="https://cloud.example.org", *extra, line=None):
    lines = [line or f"GET {path} HTTP/1.1", "Host: x", "Sec-WebSocket-Protocol: binary"]
    if origin is not None:
        lines.append(f"Origin: {origin}")
    return "\r\n".join([*lines, *extra]).encode("latin-1")


class AdmissionTests(SynchronousTestCase):
    def admitted(self, *arguments, **named):
        return admitted_ticket(head(*arguments, **named), ORIGINS)

    def test_right_request(self):
        """The exact path, a listed Origin and the subprotocol are let in."""
        self.assertEqual(self.admitted(), TICKET)
        for origin in (
            "http://127.0.0.1:8080",
            "https://localhost:8443",
            "https://ui.example.org:444",
        ):
            self.assertEqual(self.admitted(origin=origin), TICKET)

    def test_origins(self):
        """Foreign, null, missing, empty, repeated and nearly right Origins are refused."""
        for origin in (
            None,
            "",
            "null",
            "*",
            "https://evil.example",
            "http://cloud.example.org",
            "https://cloud.example.org:8443",
            "https://cloud.example.org/",
            "https://cloud.example.org.evil.example",
            "https://cloud.example.org, https://evil.example",
            "HTTPS://CLOUD.EXAMPLE.ORG",
            "http://localhost:80",
        ):
            self.assertIsNone(self.admitted(origin=origin), origin)
        twice = head(f"/console/{TICKET}", "https://cloud.example.org", "Origin: null")
        self.assertIsNone(admitted_ticket(twice, ORIGINS))

    def test_paths(self):
        """Only /console/ and a ticket of the right alphabet and length; nothing is normalised."""
        for path in (
            "/",
            "/console",
            "/console/",
            f"/console/{TICKET[:-1]}",
            f"/console/{TICKET}0",
            f"/console/{TICKET}/",
            f"/console/{TICKET}?x=1",
            f"/console/{TICKET}#x",
            f"//console/{TICKET}",
            f"/console//{TICKET}",
            f"/console/../console/{TICKET}",
            f"/%63onsole/{TICKET}",
            f"/console/{TICKET[:-3]}%30",
            f"/console/{TICKET[:-1]}.",
            f"http://cloud.example.org/console/{TICKET}",
            "/console//evil.example/%2e%2e",
            "*",
        ):
            self.assertIsNone(self.admitted(path), path)

    def test_subprotocol(self):
        """The subprotocol must be among those offered, by its exact name, in one header or more."""
        for value, right in (
            ("chat, binary", True),
            ("binary,base64", True),
            ("Binary", False),
            ("binaryx", False),
            ("", False),
        ):
            text = head().replace(b"Protocol: binary", f"Protocol: {value}".encode())
            self.assertEqual(admitted_ticket(text, ORIGINS) is not None, right, value)
        text = head().replace(
            b"Protocol: binary", b"Protocol: chat\r\nSec-WebSocket-Protocol: binary"
        )
        self.assertEqual(admitted_ticket(text, ORIGINS), TICKET)

    def test_smuggling(self):
        """Bodies, bare line feeds, control characters, folded lines and bytes beyond ASCII."""
        url = "https://cloud.example.org"
        path = f"/console/{TICKET}"
        for extra in (
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "X: a\nOrigin: null",
            "X: a\x85b",
            "X: a\x00b",
            " folded",
            "Origin : null",
            "no colon",
            ": no name",
        ):
            self.assertIsNone(self.admitted(path, url, extra), extra)
        for line in ("", "GET", f"GET {path}", f"GET  {path} HTTP/1.1", f"GET {path} HTTP/1.1 x"):
            self.assertIsNone(self.admitted(line=line or " "), line)

    @given(st.text(st.characters(codec="latin-1"), max_size=60), st.integers(0, 3))
    def test_garbage(self, text, place):
        """Any line in any place neither raises nor changes the ticket."""
        lines = head().split(b"\r\n")
        lines.insert(place, text.encode("latin-1"))
        self.assertIn(admitted_ticket(b"\r\n".join(lines), ORIGINS), (None, TICKET))
