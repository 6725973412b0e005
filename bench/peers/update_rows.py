"""The least that news cost: SELECT FOR UPDATE, UPDATE, COMMIT by psycopg2, 32 connections at once.

``python -m bench.peers.update_rows URL`` reads a count per line, does as many, and writes ``done``.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg2

CONNECTIONS = 32


class Worker:
    """One connection."""

    def __init__(self, url, ids):
        self.connection = psycopg2.connect(url)
        self.ids = ids

    def work(self, count):
        """Change ``count`` rows, one transaction each."""
        with self.connection.cursor() as cursor:
            for number in range(count):
                row = {"id": self.ids[number % len(self.ids)], "status": str(number % 2)}
                cursor.execute("SELECT * FROM servers WHERE id = %(id)s FOR UPDATE", row)
                cursor.fetchone()
                cursor.execute("UPDATE servers SET job_status = %(status)s WHERE id = %(id)s", row)
                self.connection.commit()


def main(url):
    """Serve the counts that come by standard input, on servers that no job is open for."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM servers ORDER BY id DESC LIMIT 320")
        ids = [row[0] for row in cursor.fetchall()]
    workers = [Worker(url, ids[number::CONNECTIONS]) for number in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        while line := sys.stdin.readline():
            share = int(line) // CONNECTIONS
            list(threads.map(lambda worker, share=share: worker.work(share), workers))
            print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
