"""One stream, recorded as its bytes come, and the proof that it said what was published."""

import contextlib
import math
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson

from fanout.traffic import ToolError
from gateway.stream.fields import ALWAYS

Published = dict[tuple[str, int], dict[str, Any]]
"""The published tickers, by symbol and number."""


def read_published(file: Path) -> Published:
    tickers = map(orjson.loads, file.read_bytes().splitlines())
    return {(ticker["symbol"], ticker["seq"]): ticker for ticker in tickers}


class Recording:
    """Reads one stream in a thread for the time of the context, and keeps its bytes with the times of their arrival."""

    def __init__(self, port: int, path: str, *, gzip: bool) -> None:
        self._parts: list[tuple[float, bytes]] = []
        self._leaving = self._lost = False
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        encoding = "Accept-Encoding: gzip\r\n" if gzip else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{encoding}\r\n".encode())
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(ConnectionResetError):  # a proxy resets what is left of a stream that we leave
            while data := self._socket.recv(65536):
                self._parts.append((time.monotonic(), data))
        self._lost = not self._leaving

    def tickers(self, from_s: float = 0.0, until_s: float = math.inf) -> list[tuple[float, dict[str, Any]]]:
        """Return each ticker whose last byte came from one moment until another, and that time, in monotonic seconds.

        Raises:
            ToolError: the answer is not an event stream, or ended by itself.
        """
        if self._lost:
            raise ToolError("the server ended the stream")
        try:
            return [(at_s, ticker) for at_s, ticker in self._tickers() if from_s <= at_s < until_s]
        except (ValueError, zlib.error) as wrong:
            raise ToolError(f"not an event stream: {wrong}") from wrong

    def _tickers(self) -> Iterator[tuple[float, dict[str, Any]]]:
        body = _Body()
        text = b""
        for at_s, data in self._parts:
            *events, text = (text + body.take(data)).split(b"\n\n")
            for event in events:
                lines = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
                message = orjson.loads(lines[0]) if lines else {}
                if message.get("type") == "ticker":
                    yield at_s, message["data"]
                elif "seq" in message:  # the others send tickers as they are on the bus
                    yield at_s, message

    def prove(self, published: Published, members: frozenset[str] | None) -> None:
        """Check that the stream's tickers are published ones, in order, with these members.

        Raises:
            ToolError: a ticker is another than the published one, or comes late or again.
        """
        newest: dict[str, int] = {}
        tickers = self.tickers()
        if not tickers:
            raise ToolError("the stream brought no ticker")
        for _, ticker in tickers:
            symbol, seq = ticker["symbol"], ticker["seq"]
            full = published.get((symbol, seq))
            if full is None:
                raise ToolError(f"{symbol} {seq} was not published")
            if ticker != (full if members is None else {name: full[name] for name in full if name in members | ALWAYS}):
                raise ToolError(f"{symbol} {seq} is not as it was published: {ticker}")
            if seq <= newest.get(symbol, 0):
                raise ToolError(f"{symbol} {seq} came after {newest[symbol]}")
            newest[symbol] = seq


class _Body:
    """Takes an answer apart: its head, its chunks, its compression."""

    def __init__(self) -> None:
        self._raw = b""
        self._has_head = self._chunked = False
        self._decompressor: zlib._Decompress | None = None

    def take(self, data: bytes) -> bytes:
        """Return the text that is complete with this part of the answer."""
        self._raw += data
        if not self._has_head:
            head, end, rest = self._raw.partition(b"\r\n\r\n")
            if not end:
                return b""
            status, _, headers = head.lower().partition(b"\r\n")
            if b" 200 " not in status + b" ":
                raise ValueError(status.decode("latin-1"))
            self._has_head, self._raw = True, rest
            self._chunked = b"transfer-encoding: chunked" in headers
            self._decompressor = zlib.decompressobj(31) if b"content-encoding: gzip" in headers else None
        data = b"".join(self._chunks()) if self._chunked else self._all()
        return self._decompressor.decompress(data) if self._decompressor else data

    def _all(self) -> bytes:
        data, self._raw = self._raw, b""
        return data

    def _chunks(self) -> Iterator[bytes]:
        """Yield the data of each chunk that is complete."""
        while b"\r\n" in self._raw:
            size, _, rest = self._raw.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            yield rest[:length]
            self._raw = rest[length + 2 :]
