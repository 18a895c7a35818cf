"""Saturation: the highest number of deliveries a second with which a server keeps up, found by raising the rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import report
from fanout.run import Run, known
from fanout.servers import GATEWAY, NCHAN, NODE, Figures, Server, Visit

FULL = ((1000, 50),)  # with one symbol, a server that conflates would deliver no more than its flush rate
QUICK = ((200, 50),)
LATEST_MS = 500.0
SMALLEST_SHARE = 0.95
EASY_DELIVERIES_S = 5_000
MOST_STARTS = 3
STEP = 1.5
HIGHEST_RATE = 20_000.0  # messages a second, more than a real bus of prices has
WORTH_GOING_ON = 1.03


@dataclass(frozen=True)
class Best:
    """The best step of a search: messages a second in, and its figures, None if the server kept up with no step."""

    rate: float
    figures: Figures | None

    @property
    def deliveries_s(self) -> float:
        return self.figures.deliveries_s if self.figures else 0.0


def measure(run: Run) -> None:
    for clients, symbols in QUICK if run.quick else FULL:
        found = run.turns(
            run.servers,
            max(1, run.rounds - 1),
            lambda server, clients=clients, symbols=symbols: _search(run, server, clients, symbols),  # type: ignore[misc]
        )
        _print(run, clients, symbols, found)
        _hold(run, clients, symbols, found)


def _search(run: Run, server: Server, clients: int, symbols: int) -> Best:
    """Raise the rate from an easy one. If the server does not keep up even with that, start again from a lower one."""
    rate = EASY_DELIVERIES_S / clients
    for _ in range(MOST_STARTS):
        best = _climb(run, server, clients, symbols, rate)
        if best.figures:
            return best
        rate /= 4
    return best


def _climb(run: Run, server: Server, clients: int, symbols: int, rate: float) -> Best:
    """Raise the rate until the server no longer keeps up, or delivers no more at a higher rate."""
    running = run.fleet[server]
    best = Best(rate, None)
    failures = 0
    with Visit(running, [running.group(clients, symbols)]) as visit:
        while rate <= HIGHEST_RATE:
            figures = run.note_load(visit.measure(rate, symbols, 1.0, warm_s=0.6))
            if not _kept_up(server, figures) or figures.deliveries_s < best.deliveries_s * WORTH_GOING_ON:
                failures += 1
                if failures == 2:  # twice in a row at the same rate, since a single failure may be the machine's
                    break
                continue
            failures = 0
            best = Best(rate, figures)
            # At a low load the next step would teach nothing, so go to the rate that would need half of a core.
            rate = max(rate * STEP, 0.5 * rate / max(figures.cores, 0.02))
    return best


def _kept_up(server: Server, figures: Figures) -> bool:
    """Return whether all ticks came, and in time. From a server that conflates only the newest ticks are required."""
    whole = server.conflates or figures.share >= SMALLEST_SHARE
    return figures.p99_ms <= LATEST_MS and whole and figures.ended == 0 and figures.deliveries_s > 0


Found = Mapping[Server, Sequence[Best | None]]


def _deliveries_s(found: Found, server: Server) -> list[float | None]:
    return [one.deliveries_s if one else None for one in found.get(server, ())]


def _print(run: Run, clients: int, symbols: int, found: Found) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for server, bests in found.items():
        rounds = known(bests)
        if not rounds:
            rows.append(run.broke(server))
            continue
        kept = [one.figures for one in rounds if one.figures]
        rows.append(
            (
                server.name,
                report.spread([one.deliveries_s for one in rounds]),
                report.ratio(_deliveries_s(found, GATEWAY), _deliveries_s(found, server)),
                median(one.rate for one in rounds) if kept else None,
                f"{100 * median(one.share for one in kept):.0f} %" if kept else None,
                median(one.p99_ms for one in kept) if kept else None,
                median(one.cores for one in kept) if kept else None,
                median(one.per_core_s for one in kept) if kept else None,
                median(one.load_cores for one in kept) if kept else None,
            )
        )
    of = "one symbol" if symbols == 1 else f"{symbols} symbols"
    report.table(
        f"Saturation: {clients:,} clients, {of}, p99 within {LATEST_MS:.0f} ms",
        (
            "server",
            "deliveries/s",
            "gateway's over it",
            "ticks/s in",
            "delivered",
            "p99 ms",
            "cores",
            "per core-second",
            "cores of the load",
        ),
        rows,
    )
    print(
        "\nThe gateway writes the newest tick of each symbol, then rests for as long as it wrote, so it uses about half of a "
        "core. The others write every tick and use all of a core."
    )


def _hold(run: Run, clients: int, symbols: int, found: Found) -> None:
    for other, limit, name in ((NCHAN, 10, "nchan's"), (NODE, 2.5, "Node's")):
        value = report.ratio(_deliveries_s(found, GATEWAY), _deliveries_s(found, other))
        run.at_least(f"sustained deliveries over {name}, {clients:,} clients, {symbols} symbols", value, limit)
