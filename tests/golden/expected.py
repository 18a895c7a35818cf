"""The recorded tickers of the tape, in a small form that still tells which ticker has changed.

Each ticker has two bytes of its checksum. Each block has a digest of its tickers and of the block before, and its first ticker
in full.
"""

import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from golden.tape import HERE

FILE = HERE / "tickers.xz"
BLOCK = 500
DIGEST = 16


@dataclass
class Expected:
    """The recorded tickers. `samples` and `digests` have one entry a block."""

    checks: bytearray = field(default_factory=bytearray)
    digests: list[bytes] = field(default_factory=list)
    samples: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.checks) // 2

    def write(self, file: Path = FILE) -> None:
        """Write them to the file."""
        parts = [len(self).to_bytes(4, "big"), bytes(self.checks), *self.digests, b"\n".join(self.samples)]
        file.write_bytes(lzma.compress(b"".join(parts), preset=9))

    @classmethod
    def read(cls, file: Path = FILE) -> "Expected":
        """Read them from the file."""
        data = lzma.decompress(file.read_bytes())
        count = int.from_bytes(data[:4], "big")
        blocks = -(-count // BLOCK)
        digests = 4 + 2 * count
        samples = digests + DIGEST * blocks
        return cls(
            bytearray(data[4:digests]),
            [data[at : at + DIGEST] for at in range(digests, samples, DIGEST)],
            data[samples:].split(b"\n"),
        )

    @classmethod
    def of(cls, messages: Iterable[bytes]) -> "Expected":
        """Make the record of these tickers."""
        made = cls()
        digest = b""
        for block in _blocks(messages):
            made.samples.append(block[0])
            for message in block:
                made.checks += _check(message)
            digest = _digest(digest, block)
            made.digests.append(digest)
        return made

    def differences(self, messages: Iterable[bytes]) -> Iterator[str]:
        """Report each block whose tickers have changed, with the first changed ticker."""
        digest = b""
        nth = -1
        for nth, block in enumerate(_blocks(messages)):
            digest = _digest(digest, block)
            if nth >= len(self.digests):
                yield f"block {nth}: not in the record"
            elif digest != self.digests[nth]:
                yield self._difference(nth, block)
            digest = self.digests[nth] if nth < len(self.digests) else digest  # so that the next block is judged by itself
        if nth + 1 < len(self.digests):
            yield f"{len(self.digests) - nth - 1} blocks are missing"

    def _difference(self, nth: int, block: list[bytes]) -> str:
        if block[0] != self.samples[nth]:
            return f"ticker {nth * BLOCK}:\n  was {self.samples[nth].decode()}\n  is  {block[0].decode()}"
        for at, message in enumerate(block, nth * BLOCK):
            if self.checks[2 * at : 2 * at + 2] != _check(message):
                return f"ticker {at}:\n  is  {message.decode()}"
        return f"a ticker among {nth * BLOCK} to {nth * BLOCK + len(block) - 1}"


def _blocks(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    for message in messages:
        block.append(message)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _check(message: bytes) -> bytes:
    return (zlib.crc32(message) & 0xFFFF).to_bytes(2, "big")


def _digest(before: bytes, block: list[bytes]) -> bytes:
    return sha256(before + b"\n".join(block)).digest()[:DIGEST]
