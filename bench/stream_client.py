"""Reads many streams at once and times what comes: ``python -m bench.stream_client``.

The first line of standard input is JSON: host, port, and what to send on each connection. When
each has answered, ``ready`` is written. Then each line is a count of events to wait for and how
many of the connections to look at (1: all, 20: one in twenty; the others are read and no more, or
the client would be what is measured), answered by a line of JSON: seconds of the monotonic clock
when the last came, delays, bytes per event. An event names the moment of its change:
``"name": "t<nanoseconds>"``.
"""

import json
import re
import selectors
import socket
import sys
import time

STAMP = re.compile(rb'"name": "t(\d+)"')
RECEIVE_BYTES = 1 << 18


class Reader:
    """All connections."""

    def __init__(self, host, port, sent):
        self.selector = selectors.EpollSelector()
        self.rest = {}
        self.places = {}
        self.scratch = bytearray(RECEIVE_BYTES)
        for each in sent:
            connection = socket.create_connection((host, port))
            connection.sendall(each.encode())
            # One by one: a server takes no more than so many requests at once.
            answer = connection.recv(RECEIVE_BYTES)
            while b"hello" not in answer:
                more = connection.recv(RECEIVE_BYTES)
                if not more:
                    raise EOFError(answer)
                answer += more
            connection.setblocking(False)
            self.rest[connection] = b""
            self.places[connection] = len(self.places)
            self.selector.register(connection, selectors.EVENT_READ)

    def read(self, count, one_in):
        """Time events until there were so many on the connections that are looked at."""
        delays, size = [], 0
        while len(delays) < count:
            ready = self.selector.select(60)
            if not ready:
                raise TimeoutError(f"{len(delays)} of {count} events came")
            for key, _ in ready:
                connection = key.fileobj
                if self.places[connection] % one_in:
                    connection.recv_into(self.scratch)
                    continue
                received = connection.recv(RECEIVE_BYTES)
                if not received:
                    raise EOFError(f"closed after {len(delays)} events: {self.rest[connection]!r}")
                data = self.rest[connection] + received
                now = time.monotonic_ns()
                cut = data.rfind(b"\n\n") + 2
                whole, self.rest[connection] = (data[:cut], data[cut:]) if cut > 1 else (b"", data)
                size += len(whole)
                delays += [now - int(stamp) for stamp in STAMP.findall(whole)]
        delays.sort()
        return {
            "last": time.monotonic(),
            "p50_us": delays[len(delays) // 2] / 1000,
            "p99_us": delays[len(delays) * 99 // 100] / 1000,
            "bytes": size / len(delays),
        }


def main():
    """Serve standard input."""
    wanted = json.loads(sys.stdin.readline())
    reader = Reader(wanted["host"], wanted["port"], wanted["sent"])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(reader.read(*map(int, line.split()))), flush=True)


if __name__ == "__main__":
    main()
