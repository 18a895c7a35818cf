"""What the scenes of the fan-out benchmark share: options, the servers, and the goals that the gateway is held to."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import report
from fanout.servers import FASTAPI_SSE, SSE_STARLETTE, Figures, Fleet, Running, Server


@dataclass(frozen=True)
class Goal:
    """Something the gateway should reach, what it reached, and whether that is it."""

    what: str
    reached: str
    met: bool | None  # None: not to be told, because what it is compared with is missing


@dataclass
class Run:
    """One run of the benchmark."""

    fleet: Fleet
    servers: Sequence[Server]
    quick: bool
    rounds: int
    goals: list[Goal] = field(default_factory=list)
    busiest_load: float = 0.0

    @contextmanager
    def fresh(self, server: Server) -> Iterator[Running]:
        """Start a server for the time of the context."""
        running = self.fleet.start(server)
        try:
            yield running
        finally:
            running.stop()

    def at_most(self, goal: str, value: float | None, limit: float, unit: str = "") -> None:
        """Note whether a figure stays within a limit."""
        self.goals.append(
            Goal(f"{goal}: at most {limit:g}{unit}", _reached(value, unit), None if value is None else value <= limit)
        )

    def at_least(self, goal: str, value: float | None, limit: float, unit: str = "") -> None:
        """Note whether a figure reaches a limit."""
        self.goals.append(
            Goal(f"{goal}: at least {limit:g}{unit}", _reached(value, unit), None if value is None else value >= limit)
        )

    def note_load(self, figures: Figures) -> Figures:
        """Remember how busy the program that reads the streams has been at most."""
        self.busiest_load = max(self.busiest_load, figures.load_cores)
        return figures

    def can_hold(self, server: Server, clients: int) -> bool:
        """Tell whether a server is asked to hold so many clients: the slowest ones only make the run longer."""
        return clients <= 1000 or server not in {SSE_STARLETTE, FASTAPI_SSE}


def _reached(value: float | None, unit: str) -> str:
    return "not measured" if value is None else report.cell(value) + unit


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Say how long a scene took."""
    start = time.monotonic()
    yield
    print(f"\n_{title}: {time.monotonic() - start:.0f} s_", flush=True)
