"""The endpoints' wrapper around an endpoint that gives the bytes of a file.

Run as ``python -m bench.wrapper_service PORT FILE``. It authenticates, checks policy and rates,
counts and logs as the service does; there is no database.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

from twisted.internet import reactor
from twisted.logger import globalLogPublisher

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.log import observer
from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.kept import KeptReplies
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.rates import RateLimits
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.rest.ways import by_token
from synnefo_tx.settings import Http, Rates
from tests.support.http import no_session
from tests.support.keyring import fixed_keyring

BODY = Path(sys.argv[2]).read_bytes()
CALLER = Caller(user="user", token_id=1)
PLENTY = 10**9


class Fixed:
    """The place that bare Klein serves too."""

    @endpoint("GET", "/compute/v2.0/servers/detail", action="compute:server:list")
    async def detail(self, call: Call[None]) -> bytes:
        """Give the same bytes each time."""
        return BODY


async def authenticate(token: str) -> Caller:
    """Everybody is the same user."""
    return CALLER


def main() -> None:
    """Serve."""
    with Path(os.devnull).open("w") as log:
        globalLogPublisher.addObserver(observer(log, "info"))
        serve(int(sys.argv[1]))


def serve(port: int) -> None:
    """Serve until a signal."""
    metrics = Metrics()
    kept = KeptReplies(Database(None, reactor, PoolLimits()), fixed_keyring(), reactor, 0.0)
    rates = Rates(read_per_minute=PLENTY, read_burst=PLENTY)
    site = ApiSite(
        Http(),
        {"token": by_token(authenticate), "session": no_session},
        reactor,
        metrics,
        lambda: str(uuid.uuid4()),
        kept,
        RateLimits(rates, reactor, metrics),
    )
    site.mount("", Fixed())
    reactor.listenTCP(port, site.site(), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
