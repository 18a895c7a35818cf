"""One client's WebSocket: bounded output, and every way in which it can end."""

import asyncio
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from aiohttp import web

from .wire import PING, PONG, encode, frame

MAX_BACKLOG_BYTES: Final = 8 * 1024 * 1024
CLOSE_WITHIN_S: Final = 1.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Connection:
    """An open WebSocket as its exchange sees it.

    Frames are written without waiting: a reader that leaves more than MAX_BACKLOG_BYTES unread is handed to `overflow`.
    """

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        transport: asyncio.Transport,
        overflow: "Callable[[Connection], None]",
        *,
        wrapped: bool = False,
    ) -> None:
        self.id = secrets.token_hex(4)
        self.wrapped = wrapped
        self.topics: dict[str, None] = {}  # names on the wire, in the order of subscription; some may mean nothing
        self.opened_s = self.active_s = self.pinged_s = time.monotonic()
        self.unanswered: dict[bytes, float] = {}  # pings: payload -> when it was sent
        self.recent_frames: deque[float] = deque()
        self.control_messages = 0
        self.frames_received = 0
        self.sent = 0
        self.sent_before = 0
        self.frozen = False
        self.ending = False
        self.close_at_s: float | None = None
        self._websocket, self._transport, self._overflow = websocket, transport, overflow
        self._ends: set[asyncio.Task[None]] = set()

    def write(self, framed: bytes) -> None:
        """Send one whole frame, unless the socket is frozen or on its way out."""
        if self.frozen or self.ending or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
            self._overflow(self)
            return
        self._transport.write(framed)
        self.sent += 1

    def send(self, message: object) -> None:
        """Send a JSON message."""
        self.write(frame(encode(message)))

    def send_text(self, text: str) -> None:
        """Send a text that is no JSON."""
        self.write(frame(text.encode()))

    def ping(self, payload: bytes, now_s: float) -> None:
        """Send a ping frame, and remember it until it is answered."""
        self.pinged_s = self.unanswered[payload] = now_s
        self.write(frame(payload, PING))

    def ponged(self, payload: bytes) -> None:
        """Take an answer to a ping, which answers the earlier ones too; one that nothing asked for does not count."""
        if payload in self.unanswered:
            self.unanswered.clear()

    def pong(self, payload: bytes) -> None:
        """Answer a ping frame."""
        self.write(frame(payload, PONG))

    def close(self, code: int, reason: str = "") -> None:
        """Close with a code; a client that does not answer in time is cut."""
        if self.ending:
            return
        self.ending = True
        self.thaw()
        task = asyncio.get_running_loop().create_task(self._close(code, reason))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def cut(self) -> None:
        """Reset the TCP connection, without a close frame."""
        self.ending = True
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def freeze(self) -> None:
        """Stop reading and writing, and let the client wait."""
        if not self.frozen and not self._transport.is_closing():
            self.frozen = True
            self._transport.pause_reading()

    def thaw(self) -> None:
        """Read and write again."""
        if self.frozen:
            self.frozen = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._websocket.close(code=code, message=reason.encode())
        except TimeoutError:
            pass
        finally:
            if self._transport.get_write_buffer_size():
                self._transport.abort()
