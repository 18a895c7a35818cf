"""What a command prints: for people, or with `--json` one JSON object a line."""

import sys
from typing import Any

import orjson
from rich.console import Console


class _Console(Console):
    """Rich's console, but a reader that has gone is for the main to deal with."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """Standard output. `json` says whom it is for."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.console = _Console(highlight=False, soft_wrap=True)

    def object(self, message: Any) -> None:
        """Print one JSON object; at once, because another program may be waiting for it."""
        sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
        sys.stdout.buffer.flush()
