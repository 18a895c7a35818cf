"""An exchange that sends recorded frames as fast as they are taken. Uses only the standard library.

    python replay.py FRAMES LISTING

It prints its port. It accepts a WebSocket handshake on any path and answers any other request with LISTING. It reads commands
from stdin: `go N` sends all frames to the newest socket, N frames a second or, with 0, as fast as the reader takes them. The
answer is a line of JSON with `frames`, `seconds` and `cpu_s`, the processor time used here. Messages from clients are read and
ignored.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from pathlib import Path

SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)", re.IGNORECASE)
SLICE_S = 0.001


def framed(line: bytes) -> bytes:
    """Return a line's payload as one unmasked text frame."""
    payload = line.partition(b"\t")[2]
    size = len(payload)
    return (struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBH", 0x81, 126, size)) + payload


class Replay:
    def __init__(self, frames: list[bytes], listing: bytes) -> None:
        self._frames, self._listing = frames, listing
        self._all = b"".join(frames)
        self._sockets: list[socket.socket] = []

    def serve(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            part = client.recv(65536)
            if not part:
                return
            asked += part
        key = KEY.search(asked)
        if key is None:
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(self._listing)}\r\n\r\n"
            client.sendall(head.encode() + self._listing)
            client.close()
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + SALT).digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        self._sockets.append(client)
        print(json.dumps({"connected": len(self._sockets)}), flush=True)
        while client.recv(65536):
            pass

    def go(self, rate: int) -> None:
        client = self._sockets[-1]
        began_s, used_s = time.monotonic(), time.process_time()
        if rate == 0:
            client.sendall(self._all)
        else:
            sent = 0
            while sent < len(self._frames):
                due = min(len(self._frames), int((time.monotonic() - began_s) * rate))
                client.sendall(b"".join(self._frames[sent:due]))
                sent = due
                time.sleep(SLICE_S)
        figures = {
            "frames": len(self._frames),
            "seconds": time.monotonic() - began_s,
            "cpu_s": time.process_time() - used_s,
        }
        print(json.dumps(figures), flush=True)


def main() -> None:
    frames, listing = (Path(name).read_bytes() for name in sys.argv[1:3])
    replay = Replay([framed(line) for line in frames.splitlines()], listing)
    server = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    threading.Thread(target=replay.serve, args=(server,), daemon=True).start()
    for line in sys.stdin:
        replay.go(int(line.split()[1]))


if __name__ == "__main__":
    main()
