"""The base of all scenes of the fan-out benchmark: the options, the servers, and the gateway's goals."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import report
from fanout.servers import FASTAPI_SSE, SSE_STARLETTE, Figures, Fleet, Running, Server
from fanout.traffic import ToolError

# Slower by some ten times, so that more rounds and clients would only make the run longer.
SLOWEST = (SSE_STARLETTE, FASTAPI_SSE)
T = TypeVar("T")


@dataclass(frozen=True)
class Goal:
    """A goal of the gateway, the figure that it reached, and whether that meets the goal."""

    what: str
    reached: str
    met: bool | None  # None: unknown, because the other server of the comparison is missing


@dataclass
class Run:
    """One run of the benchmark."""

    fleet: Fleet
    servers: Sequence[Server]
    quick: bool
    rounds: int
    goals: list[Goal] = field(default_factory=list)
    broken: dict[tuple[str, str], str] = field(default_factory=dict)  # by server and scene: the error
    scene: str = ""
    busiest_load: float = 0.0

    def attempt(self, server: Server, work: Callable[[], T]) -> T | None:
        """Do some work with a server. If the server breaks, note the error, discard the server and return None."""
        try:
            return work()
        except ToolError as error:
            self.broken[server.name, self.scene] = f"{error}; logged last: {self.fleet.discard(server) or 'nothing'}"
            return None

    def broke(self, server: Server) -> tuple[report.Cell, ...]:
        """Return the table row of a server without a figure in this scene."""
        return server.name, f"broke: {self.broken[server.name, self.scene]}"

    def working(self, servers: Iterable[Server]) -> list[Server]:
        """Return the servers that have not broken in this scene."""
        return [server for server in servers if (server.name, self.scene) not in self.broken]

    def turns(
        self, servers: Iterable[Server], rounds: int, measure: Callable[[Server], T]
    ) -> Mapping[Server, Sequence[T | None]]:
        """Measure the servers in turn, for some rounds; the slowest ones only once."""
        found: defaultdict[Server, list[T | None]] = defaultdict(list)
        for number in range(rounds):
            for server in servers:
                if number == 0 or server not in SLOWEST:
                    found[server].append(self.attempt(server, lambda server=server: measure(server)))  # type: ignore[misc]
        return found

    @contextmanager
    def fresh(self, server: Server) -> Iterator[Running]:
        """Run a new instance of a server for the time of the context."""
        running = self.fleet.start(server)
        try:
            yield running
        finally:
            running.stop()

    def at_most(self, goal: str, value: float | None, limit: float, unit: str = "") -> None:
        """Add a goal: the figure must not exceed the limit."""
        self.goals.append(
            Goal(f"{goal}: at most {limit:g}{unit}", _reached(value, unit), None if value is None else value <= limit)
        )

    def at_least(self, goal: str, value: float | None, limit: float, unit: str = "") -> None:
        """Add a goal: the figure must reach the limit."""
        self.goals.append(
            Goal(f"{goal}: at least {limit:g}{unit}", _reached(value, unit), None if value is None else value >= limit)
        )

    def show(self) -> None:
        """Print the goals, and the servers that broke."""
        verdict = {True: "yes", False: "**no**", None: "-"}
        rows = [(one.what, one.reached, verdict[one.met]) for one in self.goals]
        if rows:
            report.table("The gateway's goals", ("goal", "reached", "met"), rows)
        if self.broken:
            rows = [(*where, how) for where, how in self.broken.items()]
            report.table("Servers that broke and were started anew", ("server", "scene", "how"), rows)

    def note_load(self, figures: Figures) -> Figures:
        """Keep the highest load so far of the program that reads the streams."""
        self.busiest_load = max(self.busiest_load, figures.load_cores)
        return figures

    def can_hold(self, server: Server, clients: int) -> bool:
        """Return whether this server is measured with so many clients."""
        return clients <= 1000 or server not in SLOWEST


def known(figures: Iterable[T | None]) -> list[T]:
    """Return the figures without those of failed rounds."""
    return [one for one in figures if one is not None]


def _reached(value: float | None, unit: str) -> str:
    return "not measured" if value is None else report.cell(value) + unit


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Print how long a scene took."""
    start = time.monotonic()
    yield
    print(f"\n_{title}: {time.monotonic() - start:.0f} s_", flush=True)
