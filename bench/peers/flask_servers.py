"""A stand-in for the original: Flask and psycopg2, one statement for the token, one for the list.

The statements are ours, so that what differs is how they are served. Run by
gunicorn as ``bench.peers.flask_servers:app`` with DATABASE_URL and BASE_URL in the environment.
"""

import hashlib
import os
import threading

import psycopg2
from flask import Flask, Response, abort, request

from synnefo_tx.compute.servers.documents import DETAILS
from synnefo_tx.identity.tokens.store import SELECT_ACCESS, access_from_row
from synnefo_tx.settings import Compute

app = Flask(__name__)
values = {"base": os.environ["BASE_URL"] + "/compute/v2.0", "fqdn": Compute().servers_fqdn}
local = threading.local()


def cursor():
    """A cursor on this thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        local.connection.autocommit = True
    return local.connection.cursor()


@app.get("/compute/v2.0/servers/detail")
def detail():
    """The caller's servers with all their fields."""
    digest = hashlib.sha256(request.headers.get("X-Auth-Token", "").encode()).digest()
    with cursor() as statements:
        statements.execute(SELECT_ACCESS, {"sha256": digest})
        row = statements.fetchone()
        if row is None:
            abort(401)
        access, life_seconds, active = access_from_row(row)
        if life_seconds <= 0 or not active:
            abort(401)
        statements.execute(str(DETAILS), {**values, "user": access.caller.user})
        documents = statements.fetchone()[1]
    return Response(f'{{"servers": [{documents}]}}', mimetype="application/json")
