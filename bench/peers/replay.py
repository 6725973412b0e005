"""What a create costs at least: its statements by psycopg2, and one TLS POST by treq.

``python -m bench.peers.replay FILE`` reads a count per line, does as many, and writes ``done``.
All statements of a create run in one transaction that is rolled back, with the sequences set back,
so that each replay finds what the recorded one found.
"""

import json
import pickle
import sys
from pathlib import Path

import psycopg2
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from synnefo_tx.ganeti.model import ClusterEndpoint
from synnefo_tx.ganeti.tls import tls_agent

SEQUENCES = "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"


class Replay:
    """The recorded create of a file written by ``bench.servers_create``."""

    def __init__(self, recorded):
        self.statements = recorded["statements"]
        self.body = json.dumps(recorded["body"]).encode()
        rapi = recorded["rapi"]
        self.url = f"{rapi['url']}/instances?reason=bench"
        self.auth = (rapi["username"], rapi["password"])
        endpoint = ClusterEndpoint(
            rapi["name"], rapi["host"], rapi["port"], *self.auth,
            fingerprint_sha256=rapi["fingerprint"],
        )  # fmt: skip
        self.http = HTTPClient(tls_agent(reactor, endpoint))
        self.connection = psycopg2.connect(recorded["database"])
        self.cursor = self.connection.cursor()
        self.cursor.execute(SEQUENCES)
        before = self.cursor.fetchall()
        # Sequences do not go back with the transaction.
        self.run_statements("SELECT 1")
        self.cursor.execute(SEQUENCES)
        moved = [each for each in before if each not in self.cursor.fetchall()]
        self.connection.rollback()
        calls = [
            f"setval('{name}', {value}, {str(called).lower()})" for name, value, called in moved
        ]
        self.reset = "SELECT " + ", ".join(calls)
        self.cursor.execute(self.reset)
        self.connection.rollback()

    def run_statements(self, first):
        """All statements of the create, then a rollback."""
        self.cursor.execute(first)
        for sql, parameters in self.statements:
            self.cursor.execute(sql, parameters)
            if self.cursor.description is not None:
                self.cursor.fetchall()
        self.connection.rollback()

    async def once(self):
        """One create."""
        self.run_statements(self.reset)
        response = await self.http.post(
            self.url, data=self.body, auth=self.auth, reactor=reactor,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        await response.content()
        if response.code != 200:
            raise RuntimeError(f"RAPI answers {response.code}")


async def serve(replay):
    """Serve the counts that come by standard input."""
    while line := await deferToThread(sys.stdin.readline):
        for _ in range(int(line)):
            await replay.once()
        print("done", flush=True)


if __name__ == "__main__":
    recorded = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 our own file
    react(lambda _: Deferred.fromCoroutine(serve(Replay(recorded))))
