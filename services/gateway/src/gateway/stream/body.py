"""The bytes of streams' bodies: in chunks or not, compressed with gzip or not.

Streams share each compressed piece. A piece refers back to the text before it, so all streams that share it must have the same
text before it. A piece that starts anew refers back to nothing, and any stream can go on with it.
"""

import struct
import zlib
from collections.abc import Callable

from .sse import LAST_CHUNK, chunk, unframed

LEVEL, WINDOW_BITS, MEMORY_LEVEL = 6, 12, 5
"""A window of 4 KiB holds the last update of four symbols without their sources. A compressor with it takes 38 KiB
(benchmarks/RESULTS.md)."""
MOST_WINDOWS = 2_000
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"  # an empty deflate block that is marked as the last one


class Windows:
    """Counts the compressors that are kept. Beyond MOST_WINDOWS each piece starts anew, so that memory is bounded."""

    def __init__(self) -> None:
        self.kept = 0


class Body:
    """The next pieces of streams that have had the same text before, with the compressor that they share.

    Args:
        windows: counts this body's compressor among those of all bodies.
        chunked: whether the body is sent in chunks. HTTP/1.0 has none.
        compressed: whether the body is compressed.
    """

    __slots__ = ("_compressor", "_frame", "_windows", "chunked", "compressed")

    def __init__(self, windows: Windows, *, chunked: bool, compressed: bool) -> None:
        self.chunked, self.compressed = chunked, compressed
        self._windows = windows
        self._frame: Callable[[bytes], bytes] = chunk if chunked else unframed
        self._compressor: zlib._Compress | None = None  # None: the next piece starts anew

    def shared(self, text: bytes) -> bytes:
        """Return the next piece of all streams of this body."""
        if not self.compressed:
            return self._frame(text)
        compressor = self._compressor
        if compressor is None:
            compressor = _compressor()
            if self._windows.kept < MOST_WINDOWS:
                self._windows.kept += 1
                self._compressor = compressor
        return self._frame(_compress(compressor, text))

    def start_anew(self) -> None:
        """Let the next shared piece start anew."""
        if self._compressor is not None:
            self._windows.kept -= 1
            self._compressor = None

    def own(self, text: bytes, *, first: bool = False) -> bytes:
        """Return a piece for one stream alone. `first` says that its body begins with it."""
        if not self.compressed:
            return self._frame(text)
        return self._frame((_HEAD if first else b"") + _compress(_compressor(), text))

    def last(self, text: bytes, check: int, size: int) -> bytes:
        """Return the last piece of one stream. `check` and `size` are the CRC-32 and the length of all its text until now."""
        end = LAST_CHUNK if self.chunked else b""
        if not self.compressed:
            return self._frame(text) + end
        sums = struct.pack("<II", zlib.crc32(text, check), (size + len(text)) & 0xFFFFFFFF)
        return self._frame(_compress(_compressor(), text) + _LAST_BLOCK + sums) + end


def _compressor() -> "zlib._Compress":
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)


def _compress(compressor: "zlib._Compress", text: bytes) -> bytes:
    """Compress a text up to its last byte, so that a reader has all of it at once."""
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
