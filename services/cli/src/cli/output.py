"""The output of a command: for people or, with `--json`, one JSON object a line."""

import sys
from typing import Any

import orjson
from rich.console import Console


class _Console(Console):
    """Rich's console, except that a closed pipe raises BrokenPipeError, which __main__ handles for all commands."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """Standard output. `json`: print for programs, not for people."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.console = _Console(highlight=False, soft_wrap=True)

    def object(self, message: Any) -> None:
        """Print one JSON object and flush it, because another program may be waiting for it."""
        sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
        sys.stdout.buffer.flush()
