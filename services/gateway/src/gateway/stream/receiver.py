"""How much of what a client was sent lies unread in its own machine, as its TCP tells with each acknowledgement.

A slow reader's backlog fills its receive buffer first, 64 KiB to megabytes, which no setting of ours can make smaller. There a
price is as old as the bytes before it take to be read, so what lies there has to be kept short from here.
"""

import contextlib
import socket
import struct
import sys

LAGS = 1 / 8  # of what is sent: who at half speed lets a half lie, of which a window shows as little as that
PROBES = 15
"""In so many, six seconds, who reads has read most of it: if the window is narrow still, then for another reason."""
MOST_SLACK = 24_576  # bytes; more is a backlog that is read too slowly to tell
_INFO = struct.Struct("=120xQ100xI")  # of Linux's struct tcp_info: tcpi_bytes_acked, tcpi_snd_wnd


class Receiver:
    """The far end of a stream's connection. There is one of these per stream, so it holds little.

    The window that a client offers is the room left in its receive buffer, rounded up. It is widest when all has been read, but
    goes up and down by how its system accounts for memory, too: that `slack`, some 20 KB, is learned by probes.
    """

    __slots__ = ("_acked", "_asked", "_began", "_connection", "_probes", "_seen", "_slack", "_widest", "_window")

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._acked = self._widest = self._window = self._slack = 0
        self._asked: tuple[int, int] | None = None  # bytes acknowledged, and the window, at the last probe that was answered
        self._seen = 0, 0  # the same two when `lags` was last asked
        self._began = 0, 0  # the same two when counting probes began
        self._probes = 0

    def look(self) -> int:
        """Return how many bytes seem to lie unread, 0 where the system does not tell. It takes some 2 us."""
        acked, window = 0, 0
        with contextlib.suppress(OSError, struct.error):  # a connection just lost, or a Linux before 5.4
            acked, window = _INFO.unpack(self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
        if not acked + window:
            return 0
        self._acked, self._window, self._widest = acked, window, max(self._widest, window)
        return max(0, self._widest - window - self._slack)

    def lags(self) -> bool:
        """Return whether the client, as of the last look, has read clearly less than it was sent since this was last asked."""
        (acked, window), self._seen = self._seen, (self._acked, self._window)
        return window - self._window > (self._acked - acked) * LAGS

    def probe(self) -> bool | None:
        """Note that little more than this is sent for a while, since too much seemed unread at the last look.

        Return whether, since the probe before, the client seems to have read at least half of what it was sent; None where this
        is the first. One that reads nothing is known for sure only when its system has no more room, and acknowledges no more.
        """
        now = self._acked, self._window
        if self._asked is None:
            self._asked = self._began = now
            return None
        before = self._asked
        if now[0] == before[0]:
            return False
        self._asked = now
        self._probes += 1
        if self._probes == PROBES:
            if _has_read(self._began, now):
                self._slack = min(self._widest - self._window, MOST_SLACK)
            self._began, self._probes = now, 0
        return _has_read(before, now)

    def go_on(self) -> None:
        """Note that no probe is needed, since little was unread at the last look."""
        self._asked, self._probes = None, 0


def _has_read(before: tuple[int, int], now: tuple[int, int]) -> bool:
    """Return whether at least half of what was sent between two moments seems to be read: acknowledged, with no less room."""
    return before[1] - now[1] <= (now[0] - before[0]) / 2


def receiver(connection: socket.socket | None) -> Receiver | None:
    """Return the far end of a connection that was just opened, or None where nothing can be known of it."""
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return None
    far_end = Receiver(connection)
    far_end.look()  # nothing was sent yet, so this window is one with nothing unread
    far_end.lags()
    return far_end
