"""The bytes of streams' bodies: in chunks or not, compressed with gzip or not.

The streams of a group share each compressed piece. Deflate refers back to earlier text, but a stream that began later, or was
sent something of its own, does not have the same text before. So the next shared piece then refers to no earlier one. Any
stream can go on with it, because it starts at a byte and with an empty window.
"""

import struct
import zlib
from collections.abc import Callable

from .sse import LAST_CHUNK, chunk, unframed

LEVEL = 6
WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""A window of 4 KiB holds what a few updates of a page's symbols repeat. A compressor takes about 40 KiB with these."""
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"  # an empty deflate block that is marked as the last one


class Body:
    """The encoding of a group's streams, with the state that they share.

    Args:
        chunked: whether the body is sent in chunks. HTTP/1.0 has none.
        compressed: whether the body is compressed.
    """

    __slots__ = ("_compressor", "_frame", "chunked", "compressed")

    def __init__(self, *, chunked: bool, compressed: bool) -> None:
        self.chunked, self.compressed = chunked, compressed
        self._frame: Callable[[bytes], bytes] = chunk if chunked else unframed
        self._compressor: zlib._Compress | None = None  # None: the next shared piece refers to no earlier one

    def shared(self, text: bytes) -> bytes:
        """Return the next piece of all streams that have had every piece before."""
        if not self.compressed:
            return self._frame(text)
        if self._compressor is None:
            self._compressor = _compressor()
        return self._frame(_compress(self._compressor, text))

    def start_anew(self) -> None:
        """Let the next shared piece refer to no earlier one, because some stream has not had all of them."""
        self._compressor = None

    def own(self, text: bytes, *, first: bool = False) -> bytes:
        """Return the next piece, or the first one, of one stream alone."""
        if not self.compressed:
            return self._frame(text)
        self.start_anew()
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
    """Compress a text up to the last byte, so that a reader has all of it at once."""
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
