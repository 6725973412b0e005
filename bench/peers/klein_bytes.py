"""Bare Klein that sends the bytes of a file, or 304 if it is empty.

Run as ``python -m bench.peers.klein_bytes PORT FILE``.
"""

import sys
from pathlib import Path

from klein import Klein
from twisted.internet import reactor
from twisted.web.server import Site

app = Klein()
BODY = Path(sys.argv[2]).read_bytes()


@app.route("/compute/v2.0/servers/detail")
def detail(request):
    """The same bytes each time; without any, 304."""
    if not BODY:
        request.setResponseCode(304)
        return b""
    request.setHeader(b"Content-Type", b"application/json; charset=UTF-8")
    request.setHeader(b"Content-Length", b"%d" % len(BODY))
    return BODY


reactor.listenTCP(int(sys.argv[1]), Site(app.resource()), interface="127.0.0.1")
reactor.run()
