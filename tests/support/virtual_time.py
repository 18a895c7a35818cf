"""An event loop whose time passes as soon as all tasks wait: minutes of waiting take no time, in an order that is always the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

START_S = 1_700_000_000.0


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, it lets the loop's time pass."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("all tasks wait for ever")
        if not ready and timeout is not None:
            self.passed_s += max(timeout, 0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.virtual = _Selector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.passed_s


def now_ms() -> int:
    """Return the running loop's time as Unix milliseconds."""
    return round((START_S + asyncio.get_running_loop().time()) * 1000)


def run_virtually(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)
