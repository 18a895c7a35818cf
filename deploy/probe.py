#!/usr/bin/env -S python3 -I -S
"""Ask a part in this container how it is, for container health checks: `probe 9100 livez`.

Exits 0 when the answer is 200. It runs every few seconds beside each part for as long as that lives, so it imports next to
nothing: a bare socket costs a tenth of what an HTTP library's imports do.
"""

import socket
import sys


def main(port: str, path: str) -> int:
    """Print the probe's answer; return the exit status."""
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
