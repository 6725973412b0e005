"""A browser's side of a console: the TLS websocket, and the screen that comes through it."""

from typing import Any
from urllib.parse import urlsplit

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater

from tests.console.support import BrowserWire
from tests.ganeti.rfb_client import RfbClient

reactor: Any = _reactor
RAW = 0
SCREEN_TRIES = 60


class WebScreen(RfbClient):
    """An RFB client whose bytes go through a console's websocket, authenticated already."""

    def __init__(self, browser):
        super().__init__()
        self.browser = browser
        self.transport = self

    def write(self, data):
        self.browser.send(data)

    async def read(self, size):
        return await self.browser.stream(size, seconds=20)

    async def picture(self):
        """The colours seen on the whole screen, once there is more than one."""
        (width, height), _ = await self.enter()
        self.set_encodings(RAW)
        colours: set[bytes] = set()
        for _ in range(SCREEN_TRIES):
            self.request(width, height)
            for *_, pixels in await self.update():
                colours |= {pixels[at : at + 4] for at in range(0, len(pixels), 4)}
            if len(colours) > 1:
                break
            await deferLater(reactor, 0.5)
        return colours


async def connect(console, certificate):
    """A browser connected by TLS, verified by the certificate, to where a console is."""
    place = urlsplit(console["url"])
    root = Certificate.loadPEM(certificate.read_bytes())
    plain = TCP4ClientEndpoint(reactor, place.hostname, place.port)
    factory = Factory.forProtocol(BrowserWire)
    factory.noisy = False
    options = optionsForClientTLS("localhost", trustRoot=root)
    return await wrapClientTLS(options, plain).connect(factory)


async def open_screen(console, certificate, origin):
    """(browser, screen) after the websocket's upgrade and VNC authentication."""
    browser = await connect(console, certificate)
    await browser.upgrade(urlsplit(console["url"]).path.rpartition("/")[2], origin=origin)
    assert await browser.authenticate(console["password"]) == b"\0\0\0\0"
    return browser, WebScreen(browser)
