"""Writes events to bare sockets: ``python -m bench.peers.bare_sockets PORT CONNECTIONS GROUP``.

Every connection sends one line and has one back. Then each line of standard input is a count of
changes, a rate per second (0: at once), a size in bytes and 1 for changes that everyone sees: each
is written to all connections, or to all ``GROUP`` of a group, the groups in turn, with the moment
of the change in it.
"""

import socket
import sys
import time


def frame(size, moment):
    """An event of about that size, of a change at that moment."""
    event = b'event: server\nid: 1.1\ndata: {"name": "t%d"' % (moment * 1e9)
    return event + b" " * max(0, size - len(event) - 3) + b"}\n\n"


def main(port, connections, group):
    """Serve standard input."""
    listening = socket.create_server(("127.0.0.1", port), backlog=connections)
    print("listens", flush=True)
    accepted = []
    for _ in range(connections):
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(100)
        connection.sendall(b"hello\n\n")
        accepted.append(connection)
    groups = [accepted[at : at + group] for at in range(0, connections, group)]
    for line in sys.stdin:
        count, rate, size, everyone = map(int, line.split())
        begun = time.monotonic()
        for number in range(count):
            # A change that has to wait for its turn is late, whoever keeps it waiting.
            moment = begun + number / rate if rate else begun
            time.sleep(max(0.0, moment - time.monotonic()))
            event = frame(size, moment)
            for each in accepted if everyone else groups[number % len(groups)]:
                each.sendall(event)
        print("done", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
