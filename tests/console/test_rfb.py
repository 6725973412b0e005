"""The RFB opening: what is said, in any cut, and what garbage does."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.console.rfb import (
    MAX_REASON_BYTES,
    VERSION_3_3,
    VERSION_3_7,
    VERSION_3_8,
    Handshake,
    RfbError,
    open_screen,
    serve_vnc_authentication,
    vnc_response,
)

CHALLENGE = bytes(range(16))
PASSWORD = "s3cretPw"
VERSIONS = (VERSION_3_3, VERSION_3_7, VERSION_3_8)
cuts = st.lists(st.integers(0, 40), max_size=12)


def run(script, data, sizes):
    """(all that was sent, finished, rest, error text) after ``data`` in pieces of ``sizes``."""
    handshake = Handshake(script)
    sent = handshake.begin()
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    try:
        for piece in [*pieces, data]:
            sent += handshake.receive(piece)
    except RfbError as error:
        return sent + error.farewell, False, b"", str(error)
    return sent, handshake.finished, handshake.rest, None


def answer_of(version, password=PASSWORD):
    """What a well-behaved browser sends to the proxy."""
    chosen = b"" if version == VERSION_3_3 else b"\x02"
    return version + chosen + vnc_response(password, CHALLENGE)


def counted(text):
    return struct.pack("!I", len(text)) + text


class ResponseTests(SynchronousTestCase):
    def test_published_vector(self):
        """The response is DES in ECB mode under the password with the bits of each byte turned."""
        turned = bytes.fromhex("80c4a2e691d5b3f7").decode("latin-1")  # 0123456789abcdef turned
        self.assertEqual(vnc_response(turned, b"Now is t" * 2).hex(), "3fa40e8a984d4815" * 2)

    def test_only_eight_characters_count(self):
        """VNC passwords end after eight characters; a shorter one is filled with zero bytes."""
        self.assertEqual(vnc_response("12345678", CHALLENGE), vnc_response("123456789", CHALLENGE))
        self.assertEqual(vnc_response("1234", CHALLENGE), vnc_response("1234\0\0", CHALLENGE))
        self.assertNotEqual(vnc_response("1234567", CHALLENGE), vnc_response("12345678", CHALLENGE))


class BrowserSideTests(SynchronousTestCase):
    """The proxy as a server of VNC authentication."""

    def serve(self, data, sizes=()):
        return run(serve_vnc_authentication(PASSWORD, CHALLENGE), data, sizes)

    @given(cuts)
    def test_right_password(self, sizes):
        """The right password opens; what the client sends after it is kept for the screen."""
        sent, finished, rest, error = self.serve(answer_of(VERSION_3_8) + b"\x01more", sizes)
        self.assertEqual(sent, VERSION_3_8 + b"\x01\x02" + CHALLENGE + b"\0\0\0\0")
        self.assertEqual((finished, rest, error), (True, b"\x01more", None))

    @given(st.sampled_from([VERSION_3_3, VERSION_3_7]), cuts)
    def test_older_clients(self, version, sizes):
        """Clients of 3.3 and 3.7 authenticate too, in their own form."""
        sent, finished, rest, error = self.serve(answer_of(version) + b"\x01", sizes)
        kinds = b"\0\0\0\x02" if version == VERSION_3_3 else b"\x01\x02"
        self.assertEqual(sent, VERSION_3_8 + kinds + CHALLENGE + b"\0\0\0\0")
        self.assertEqual((finished, rest, error), (True, b"\x01", None))

    @given(st.sampled_from(VERSIONS), cuts)
    def test_wrong_password(self, version, sizes):
        """A wrong password is refused, with the reason where the version has room for it."""
        sent, finished, _, error = self.serve(answer_of(version, "not this"), sizes)
        self.assertEqual((finished, error), (False, "wrong password"))
        reason = counted(b"wrong password") if version == VERSION_3_8 else b""
        self.assertTrue(sent.endswith(CHALLENGE + b"\0\0\0\x01" + reason))

    def test_no_way_around_the_password(self):
        """Choosing security type None, which was not offered, is refused with a reason."""
        sent, finished, _, error = self.serve(VERSION_3_8 + b"\x01" + b"\x01")
        self.assertFalse(finished)
        self.assertEqual(error, "only VNC authentication is offered")
        self.assertTrue(sent.endswith(counted(b"only VNC authentication is offered")))

    def test_unknown_version(self):
        """A client that is no RFB client is refused at its first line."""
        self.assertIn("no known version", self.serve(b"GET / HTTP/1.1\r\n")[3])

    @given(st.binary(max_size=200), cuts, st.sampled_from([b"", VERSION_3_8, VERSION_3_3]))
    def test_garbage_never_opens(self, garbage, sizes, prefix):
        """Any bytes lead to the same end however they are cut, and never to a finished opening."""
        whole = self.serve(prefix + garbage)
        self.assertEqual(self.serve(prefix + garbage, sizes), whole)
        if vnc_response(PASSWORD, CHALLENGE) not in garbage:
            self.assertFalse(whole[1])


class ScreenSideTests(SynchronousTestCase):
    """The proxy as a client of a hypervisor's VNC server."""

    def open(self, data, sizes=(), password=None):
        return run(open_screen(password), data, sizes)

    @given(cuts)
    def test_no_password(self, sizes):
        """A server without password opens in 3.8, 3.7 and 3.3, each by its own order."""
        for data, sent in (
            (VERSION_3_8 + b"\x02\x02\x01" + b"\0\0\0\0", VERSION_3_8 + b"\x01"),
            (VERSION_3_7 + b"\x01\x01", VERSION_3_7 + b"\x01"),
            (VERSION_3_3 + b"\0\0\0\x01", VERSION_3_3),
        ):
            self.assertEqual(self.open(data + b"rest", sizes), (sent, True, b"rest", None))

    @given(cuts)
    def test_password(self, sizes):
        """A server with a password is answered with it in all three versions."""
        response = vnc_response("hostpass", CHALLENGE)
        for data, sent in (
            (VERSION_3_8 + b"\x01\x02", VERSION_3_8 + b"\x02" + response),
            (VERSION_3_7 + b"\x01\x02", VERSION_3_7 + b"\x02" + response),
            (VERSION_3_3 + b"\0\0\0\x02", VERSION_3_3 + response),
        ):
            result = self.open(data + CHALLENGE + b"\0\0\0\0", sizes, "hostpass")
            self.assertEqual(result, (sent, True, b"", None))

    def test_password_missing(self):
        """A server that asks for a password nobody knows is an error, not a guess."""
        for data in (VERSION_3_8 + b"\x01\x02", VERSION_3_3 + b"\0\0\0\x02"):
            self.assertIn("asks for a password", self.open(data)[3])

    @given(cuts)
    def test_refusals_carry_the_reason(self, sizes):
        """The server's own reason is in the error."""
        reason = counted(b"too many clients")
        for data in (
            VERSION_3_8 + b"\0" + reason,
            VERSION_3_7 + b"\0" + reason,
            VERSION_3_3 + b"\0\0\0\0" + reason,
            VERSION_3_8 + b"\x01\x01" + b"\0\0\0\x01" + reason,
        ):
            self.assertEqual(self.open(data, sizes)[3], "too many clients")

    def test_old_versions_fail_without_reason(self):
        """Before 3.8 a failed authentication has no text; none is waited for."""
        data = VERSION_3_7 + b"\x01\x02" + CHALLENGE + b"\0\0\0\x01"
        self.assertEqual(self.open(data, password="hostpass")[3], "authentication failed")

    def test_no_usable_type(self):
        """A server with foreign security types only is refused, the types named."""
        self.assertIn("[18, 19]", self.open(VERSION_3_8 + b"\x02\x13\x12")[3])
        self.assertIn("no usable", self.open(VERSION_3_3 + b"\0\0\0\x13")[3])
        self.assertIn("no usable", self.open(VERSION_3_3 + b"\xff\xff\xff\x01")[3])

    def test_overlong_reason_is_not_read(self):
        """A reason of 4 GiB is not waited for."""
        error = self.open(VERSION_3_8 + b"\0" + struct.pack("!I", MAX_REASON_BYTES + 1))[3]
        self.assertEqual(error, "refused with an overlong reason")

    @given(st.binary(max_size=300), cuts, st.sampled_from([b"", *VERSIONS]))
    def test_garbage(self, garbage, sizes, prefix):
        """Any bytes lead to the same end however they are cut."""
        self.assertEqual(self.open(prefix + garbage, sizes), self.open(prefix + garbage))
