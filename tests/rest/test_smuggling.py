"""Requests that two parsers may read differently."""

from __future__ import annotations

from tests.support.http import SiteTestCase, connect

END = b"\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"


def request(*lines: bytes, method: bytes = b"POST", body: bytes = b"") -> bytes:
    """A request with these header lines."""
    head = END.join([method + b" /first HTTP/1.1", b"Host: x", *lines])
    return head + END + END + body


AMBIGUOUS = {
    "both lengths": request(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND
    ),
    "both, the other way round": request(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SECOND
    ),
    "two lengths": request(b"Content-Length: 0", b"Content-Length: 40", body=SECOND),
    "equal lengths twice": request(b"Content-Length: 0", b"Content-Length: 0", body=SECOND),
    "a list of lengths": request(b"Content-Length: 0, 40", body=SECOND),
    "signed length": request(b"Content-Length: +0", body=SECOND),
    "hexadecimal length": request(b"Content-Length: 0x0", body=SECOND),
    "endless length": request(b"Content-Length: " + b"9" * 5000, body=SECOND),
    "unknown encoding": request(b"Transfer-Encoding: xchunked", body=SECOND),
    "two encodings": request(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + SECOND),
    "bare LF in a header": request(b"A: b\nContent-Length: 40", body=SECOND),
    "bare CR in a header": request(b"A: b\rContent-Length: 40", body=SECOND),
    "bare LF after the request line": b"POST /first HTTP/1.1\nHost: x\r\n\r\n" + SECOND,
    "space before the colon": request(b"Content-Length : 40", body=SECOND),
    "folded first header": b"POST /first HTTP/1.1\r\n Host: x\r\n\r\n" + SECOND,
    "NUL in a header": request(b"A: b\x00c", body=SECOND),
    "no header name": request(b": 40", body=SECOND),
    "chunk size with a sign": request(b"Transfer-Encoding: chunked", body=b"+0\r\n\r\n" + SECOND),
    "chunk ended by a bare LF": request(
        b"Transfer-Encoding: chunked", body=b"1\na\n0\n\n" + SECOND
    ),
    "absolute target with a space": b"GET /first second HTTP/1.1\r\nHost: x\r\n\r\n" + SECOND,
}


class SmugglingTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve()

    async def test_ambiguous(self) -> None:
        """What could be read in two ways is a 400 and the end of the connection, nothing else."""
        wrong = {}
        for name, sent in AMBIGUOUS.items():
            received = await (await connect(self.url, sent)).ended
            if received != b"HTTP/1.1 400 Bad Request\r\n\r\n" or self.flushLoggedErrors():
                wrong[name] = received
        self.assertEqual(wrong, {})
        counted = self.metrics.registry.get_sample_value(
            "synnefo_requests_total", {"endpoint": "unread", "status": "400"}
        )
        self.assertEqual(counted, len(AMBIGUOUS))
