"""A stand-in for the original: Flask and psycopg2, one statement for the token, one for the list.

The statements and the documents are ours, so that what differs is how they are served. Run by
gunicorn as ``bench.peers.flask_servers:app`` with DATABASE_URL and BASE_URL in the environment.
"""

import hashlib
import os
import threading

import psycopg2
from flask import Flask, abort, jsonify, request

from synnefo_tx.compute.servers.store import LIST, view_from_row
from synnefo_tx.compute.servers.wire import ServerWire
from synnefo_tx.identity.tokens.store import SELECT_ACCESS, access_from_row
from synnefo_tx.settings import Compute

app = Flask(__name__)
app.json.sort_keys = False
wire = ServerWire(os.environ["BASE_URL"] + "/compute/v2.0", Compute())
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
        access, expired, active = access_from_row(row)
        if expired or not active:
            abort(401)
        statements.execute(LIST, {"user": access.caller.user, "operator": False, "since": None})
        views = [view_from_row(each) for each in statements.fetchall()]
    return jsonify({"servers": [wire.detail(view) for view in views]})
