"""Writes events to bare sockets: ``python -m bench.peers.bare_sockets PORT CONNECTIONS GROUP``.

Every connection sends one line and has one back. Then each line of standard input is a count of
changes, a rate per second (0: at once) and a size in bytes: each change is written to all ``GROUP``
connections of a group, the groups in turn, with the moment of the change in it.
"""

import socket
import sys
import time


def frame(size):
    """An event of about that size."""
    event = b'event: server\nid: 1.1\ndata: {"name": "t%d"' % time.monotonic_ns()
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
        count, rate, size = map(int, line.split())
        begun = time.monotonic()
        for number in range(count):
            if rate:
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            event = frame(size)
            for each in groups[number % len(groups)]:
                each.sendall(event)
        print("done", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
