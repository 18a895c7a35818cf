"""Subscribers of Redis that drop all messages, to load Redis like more gateways. Uses only the standard library.

    python listeners.py PORT CHANNEL,CHANNEL...

Each connection is read only twenty times a second, so that many of them cost little here. Redis writes to each as to any other
subscriber. It reads commands from stdin and answers on stdout: `open N` connects N more, `report` prints the bytes read so far
and the processor time.
"""

import json
import select
import socket
import sys
import time

TURN_S = 0.05
READ_BYTES = 4 << 20


def subscriber(port: int, channels: list[str]) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    words = ["SUBSCRIBE", *channels]
    request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    connection.sendall(request.encode())
    connection.setblocking(False)
    return connection


def main(port: int, channels: list[str]) -> None:
    connections: list[socket.socket] = []
    bytes_read = 0
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], TURN_S)
        if ready:
            match sys.stdin.readline().split():
                case ["open", count]:
                    connections += [subscriber(port, channels) for _ in range(int(count))]
                    print("{}", flush=True)
                case ["report"]:
                    print(json.dumps({"bytes": bytes_read, "cpu_s": time.process_time()}), flush=True)
                case _:  # the process that started us has ended
                    return
        for connection in connections:
            try:
                part = connection.recv(READ_BYTES)
            except BlockingIOError:
                continue
            if not part:
                sys.exit("Redis has cut a subscriber off")
            bytes_read += len(part)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","))
