"""One client's WebSocket: bounded output, and the ways to end it."""

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
    """The exchange's side of an open WebSocket.

    Frames are written without waiting. If more than MAX_BACKLOG_BYTES are unsent because the client does not read, the next
    write calls `overflow` instead. `path` is that of the socket's URL. With `wrapped`, the client gets each message in an
    envelope.
    """

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        transport: asyncio.Transport,
        overflow: "Callable[[Connection], None]",
        *,
        path: str = "",
        wrapped: bool = False,
    ) -> None:
        self.id = secrets.token_hex(4)
        self.path, self.wrapped = path, wrapped
        self.topics: dict[str, None] = {}  # names on the wire, in the order of subscription, unknown names included
        self.opened_s = self.active_s = self.pinged_s = time.monotonic()
        self.unanswered: dict[bytes, float] = {}  # payloads of unanswered pings, with the monotonic time of each
        self.recent_frames: deque[float] = deque()  # the monotonic times of frames that count against a rate limit
        self.control_messages = 0  # text frames from the client
        self.frames_received = 0  # all frames from the client
        self.sent = 0  # frames written
        self.sent_before = 0  # `sent` at the last upkeep
        self.frozen = False  # neither read nor written
        self.ending = False  # closing has begun
        self.close_at_s: float | None = None
        self._websocket, self._transport, self._overflow = websocket, transport, overflow
        self._ends: set[asyncio.Task[None]] = set()

    def write(self, framed: bytes) -> None:
        """Send one whole frame, unless the socket is frozen or closing."""
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
        """Send a text that is not JSON."""
        self.write(frame(text.encode()))

    def ping(self, payload: bytes, now_s: float) -> None:
        """Send a ping frame, and remember its payload until a pong answers it."""
        self.pinged_s = self.unanswered[payload] = now_s
        self.write(frame(payload, PING))

    def ponged(self, payload: bytes) -> None:
        """Take a pong. It answers all pings so far; an unsolicited pong is ignored."""
        if payload in self.unanswered:
            self.unanswered.clear()

    def pong(self, payload: bytes) -> None:
        """Send the pong that answers a client's ping."""
        self.write(frame(payload, PONG))

    def close(self, code: int, reason: str = "") -> None:
        """Close with a code. If the client has not answered within CLOSE_WITHIN_S, cut the connection."""
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
        """Stop reading and writing, but keep the connection open."""
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
