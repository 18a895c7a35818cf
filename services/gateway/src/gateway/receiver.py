"""How much of what a client was sent lies unread in its own machine, as its TCP tells with each acknowledgement.

A slow reader's backlog fills its receive buffer first, 64 KiB to megabytes, which no setting of ours can make smaller. There a
price is as old as the bytes before it take to be read, so what lies there has to be kept short from here.
"""

import contextlib
import socket
import struct
import sys

PROBES = 4  # after so many, far enough apart for any backlog to shrink, an unchanged window is one with nothing unread
READ_STEP = 1_024  # bytes by which the window's right edge moves when something is read; less may be rounding
_INFO = struct.Struct("=120xQ100xI")  # of Linux's struct tcp_info: tcpi_bytes_acked, tcpi_snd_wnd


class Receiver:
    """The far end of a stream's connection. There is one of these per stream, so it holds little.

    The window that a client offers is the room left in its receive buffer. It is widest when all has been read, and its right
    edge, `bytes_acked + window`, moves only when something is, but for being rounded up. A receiver may come to offer less than
    it did, by how it accounts for memory, so that the widest has to be learned anew.
    """

    __slots__ = ("_connection", "_edge", "_probed", "_same", "_widest", "_window")

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._edge = self._widest = self._window = 0
        self._probed, self._same = -1, 0  # the window at the last probe, and how many in a row have found it

    def look(self) -> tuple[int, bool]:
        """Return how many bytes lie unread, and whether something was read since the last look. It takes some 2 us.

        0 and True where the system does not tell.
        """
        acked, window = 0, 0
        with contextlib.suppress(OSError, struct.error):  # a connection just lost, or a Linux before 5.4
            acked, window = _INFO.unpack(self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
        edge = acked + window
        self._window, self._widest = window, max(self._widest, window)
        if not edge:
            return 0, True
        has_read = edge - self._edge >= READ_STEP
        if has_read:
            self._edge = edge
        return self._widest - window, has_read

    def probe(self) -> bool:
        """Note that nothing but this is sent for a while, since too much seemed unread at the last look.

        Return whether that was the answer to an earlier probe, and so is no old news.
        """
        answered = self._probed >= 0
        self._same = self._same + 1 if self._window == self._probed else 0
        self._probed = self._window
        if self._same >= PROBES:
            self._widest = self._window
        return answered

    def go_on(self) -> None:
        """Note that no probe is needed, since little was unread at the last look."""
        self._same, self._probed = 0, -1


def receiver(connection: socket.socket | None) -> Receiver | None:
    """Return the far end of a connection that was just opened, or None where nothing can be known of it."""
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return None
    far_end = Receiver(connection)
    far_end.look()  # nothing was sent yet, so this window is one with nothing unread
    return far_end
