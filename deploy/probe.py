#!/usr/bin/env -S python3 -I -S
"""Request a probe of the part in this container, for the container's health check: `probe 9100 livez`.

Exits with 0 if the answer is 200, else with 1. It runs every few seconds beside each part for as long as the part runs. So it
uses a bare socket: importing an HTTP library would cost ten times as much.
"""

import socket
import sys


def main(port: str, path: str) -> int:
    """Print the body of the answer, or the connection's error; return the exit status."""
    request = f"GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=3) as connection, connection.makefile("rb") as answer:
            connection.sendall(request)
            head, _, body = answer.read().decode(errors="replace").partition("\r\n\r\n")
    except OSError as unreachable:
        head, body = "", str(unreachable)
    print(body)
    return 0 if head.split(" ")[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
