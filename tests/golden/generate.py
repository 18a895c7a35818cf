"""Makes the tape: two and a half hours of a market of four symbols on up to six exchanges, with many faults.

    PYTHONPATH=tests .venv/bin/python -m golden.generate

The same seed makes the same tape, as long as Python's `random` does not change. Only a change of the
simulated market needs this: the tape itself is kept.
"""

import random
from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from golden.tape import (
    AWAY,
    ENDED,
    IN_MICROSECONDS,
    LAG_UNKNOWN,
    NO_ASK,
    NO_BID,
    NO_EXCHANGE_TIME,
    NOTHING,
    OPEN,
    RESTART,
    TAPE,
    TICK,
    Made,
    Row,
    write_tape,
)

SEED = 14
TICKS = 230_000
EXCHANGES = ("binance", "bybit", "okx", "coinbase", "kraken", "cryptocom")
TURNOVER = dict(zip(EXCHANGES, (1_800_000, 600_000, 400_000, 420_000, 65_000, 206_000), strict=True))  # thousands
MARKETS = (  # symbol, exchanges, first price in tick sizes, decimals, whether ticks state the decimals
    ("BTC-USDT", EXCHANGES, 6_400_000, 2, True),
    ("ETH-USDT", EXCHANGES[:3], 250_000, 2, True),
    ("PEPE-USDT", EXCHANGES[:4], 1_234, 8, False),
    ("RARE-USDT", EXCHANGES[1:3], 50_000, 4, True),
)
FIGURES_EACH = 40
"""How many successive ticks of a source have the same 24 h figures."""


Fault = dict[str, int | float | bool]
"""The fields of a source that a fault changes."""
FAULTY = ("premium", "silent", "frozen", "gone", "book", "flags", "lag_ms", "jitter_ms", "turnover")
UNHEARD: Fault = {"silent": True}


@dataclass
class Source:
    """One exchange's market while it is simulated; faults change the fields in FAULTY."""

    made: Made
    nth: int
    middle: "Middle"
    rate_hz: float
    figures: int = -1
    told: int = 0
    premium: float = 1.0
    price: int = 0
    silent: bool = False
    frozen: bool = False
    gone: bool = False
    book: int = 1
    flags: int = 0
    lag_ms: int = 0
    jitter_ms: int = 0
    turnover: int = 0
    sound: Fault = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def begin(self, fault: Fault) -> None:
        """Start a fault here. Of several faults on one field, the last one counts."""
        self.faults.append(fault)
        self._show()

    def end(self, fault: Fault) -> None:
        """End a fault."""
        self.faults.remove(fault)
        self._show()

    def _show(self) -> None:
        for fault in [self.sound, *self.faults]:
            for name, value in fault.items():
                setattr(self, name, value)


@dataclass
class Middle:
    """One symbol's true price, a random walk, in tick sizes."""

    price: float

    def move(self, rng: random.Random) -> None:
        self.price *= 1 + rng.gauss(0, 2e-5)


def _fault(rng: random.Random) -> tuple[Fault, float]:
    """Choose a fault of a source and its duration in seconds."""
    kind = rng.choice(
        [
            "silent",
            "silent",
            "frozen",
            "lie",
            "lie",
            "lie",
            "near",
            "lag",
            "late",
            "micro",
            "unknown",
            "book",
            "turnover",
            "gone",
        ]
    )
    match kind:
        case "silent":
            return {"silent": True}, rng.choice([8, 20, 40, 70, 90, 1000])
        case "frozen":
            return {"frozen": True}, rng.choice([30, 120, 600])
        case "lie":  # from a plausible premium to nonsense
            return {"premium": rng.choice([0.9, 0.968, 0.975, 0.985, 1.012, 1.02, 1.029, 1.04, 1.3])}, rng.choice([15, 60, 180])
        case "near":
            return {"premium": rng.choice([0.9955, 0.996, 1.004, 1.0052])}, rng.choice([60, 300])
        case "lag":
            return {"lag_ms": rng.choice([-20_000, -5_001, -5_000, 5_000, 5_001, 7_000])}, rng.choice([20, 90])
        case "late":
            return {"jitter_ms": rng.choice([300, 3_000])}, 30
        case "micro":
            return {"flags": IN_MICROSECONDS}, 20
        case "unknown":
            return {"flags": rng.choice([LAG_UNKNOWN, NO_EXCHANGE_TIME]), "lag_ms": 30_000}, 30
        case "book":
            return {"book": rng.choice([-1, 0, 40])}, 60
        case "turnover":
            return {"turnover": rng.choice([NOTHING, 0, 90_000_000])}, rng.choice([60, 300])
    return {"gone": True}, rng.choice([30, 90, 1000])


class Simulation:
    """The simulated market, event by event."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.figures: list[tuple[int, ...]] = []
        self.sources: list[Source] = []
        for symbol, exchanges, price, dp, tells_dp in MARKETS:
            middle = Middle(price)
            for exchange in exchanges:
                made = Made(exchange, symbol, dp, tells_dp)
                rate_hz = rng.uniform(2.0, 6.0)
                turnover = TURNOVER[exchange] if symbol != "RARE-USDT" else NOTHING if exchange == "okx" else 12
                source = Source(made, len(self.sources), middle, rate_hz, turnover=turnover)
                source.sound = {name: getattr(source, name) for name in FAULTY}
                self.sources.append(source)
        self._due: list[tuple[int, int, Callable[[int], Iterator[tuple[int, Row]]]]] = []
        self._order = count()

    def rows(self) -> Iterator[Row]:
        """Yield events in their order until there are enough ticks."""
        for source in self.sources:
            self._at(self._rng.randrange(2000), self._ticking(source))
        self._at(20_000, self._fault)
        self._at(95_000, self._feeds)
        self._at(150_000, self._restart)
        ticks = last_ms = 0
        while ticks < TICKS:
            at_ms, _, act = self._due.pop(0)
            for time_ms, row in act(at_ms):
                yield row._replace(step_ms=time_ms - last_ms)
                last_ms = time_ms
                ticks += row.kind == TICK

    def _at(self, time_ms: int, act: Callable[[int], Iterator[tuple[int, Row]]]) -> None:
        insort(self._due, (time_ms, next(self._order), act))

    def _ticking(self, source: Source) -> Callable[[int], Iterator[tuple[int, Row]]]:
        def tick(now_ms: int) -> Iterator[tuple[int, Row]]:
            self._at(now_ms + 1 + int(self._rng.expovariate(source.rate_hz) * 1000), tick)
            source.middle.move(self._rng)
            if not source.silent and not source.gone:
                yield now_ms, self._tick(source)

        return tick

    def _tick(self, source: Source, flags: int = 0) -> Row:
        rng = self._rng
        if not source.frozen or not source.price:
            source.price = max(1, round(source.middle.price * source.premium + rng.randrange(-3, 4)))
        if source.told % FIGURES_EACH == 0:
            source.figures = len(self.figures)
            day = source.middle.price
            low, high = round(day * rng.uniform(0.93, 0.99)), round(day * rng.uniform(1.01, 1.06))
            opened = NOTHING if rng.random() < 0.1 else round(day * rng.uniform(0.97, 1.03))
            known = rng.random() > 0.05
            self.figures.append(
                (opened, high if known else NOTHING, low if known else NOTHING, 20_000 + source.told, source.turnover)
            )
        source.told += 1
        flags |= source.flags | (NO_BID if source.book == 0 else 0) | (NO_ASK if source.book == 0 and rng.random() < 0.5 else 0)
        lag_ms = source.lag_ms + rng.choice((20, 40, 60)) + (rng.randrange(source.jitter_ms) if source.jitter_ms else 0)
        spread = rng.randrange(3) * source.book
        return Row(
            TICK, source.nth, 0, rng.choice((0, 1, 1, 2, 5)), lag_ms, source.price, spread, source.book, source.figures, flags
        )

    def _fault(self, now_ms: int) -> Iterator[tuple[int, Row]]:
        """Start a fault at one source, at all sources of an exchange, or at all sources of a symbol."""
        rng = self._rng
        self._at(now_ms + rng.randrange(1_000, 20_000), self._fault)
        fault, seconds = _fault(rng)
        one = rng.choice(self.sources)
        reach = rng.random()
        if reach < 0.7:
            hit = [one]
        elif reach < 0.85:
            hit = [source for source in self.sources if source.made.exchange == one.made.exchange]
        else:
            hit = [source for source in self.sources if source.made.symbol == one.made.symbol]
        for source in hit:
            was_gone = source.gone
            source.begin(fault)
            if source.gone and not was_gone and source.price:
                yield now_ms, self._tick(source, ENDED)

        def end(_: int) -> Iterator[tuple[int, Row]]:
            for source in hit:
                source.end(fault)
            yield from ()

        self._at(now_ms + int(seconds * 1000 * rng.uniform(0.7, 1.3)), end)

    def _feeds(self, now_ms: int) -> Iterator[tuple[int, Row]]:
        """Lose the feeds of one exchange or of all for a while, without ticks from them."""
        rng = self._rng
        self._at(now_ms + rng.randrange(60_000, 240_000), self._feeds)
        lost = EXCHANGES if rng.random() < 0.5 else (rng.choice(EXCHANGES),)
        hit = [source for source in self.sources if source.made.exchange in lost]
        first = {source.made.exchange: source for source in hit}
        for source in hit:
            source.begin(UNHEARD)
        for source in first.values():
            yield now_ms, Row(AWAY, source.nth, 0)

        def end(later_ms: int) -> Iterator[tuple[int, Row]]:
            for source in hit:
                source.end(UNHEARD)
            for source in first.values():
                yield later_ms, Row(OPEN, source.nth, 0)

        self._at(now_ms + rng.choice([3_000, 15_000, 45_000, 90_000, 150_000]), end)

    def _restart(self, now_ms: int) -> Iterator[tuple[int, Row]]:
        self._at(now_ms + self._rng.randrange(60_000, 400_000), self._restart)
        yield now_ms, Row(RESTART, 0, 0, value=self._rng.choice([200, 2_000, 20_000, 70_000]))


def main() -> None:
    simulation = Simulation(random.Random(SEED))
    rows = list(simulation.rows())
    write_tape([source.made for source in simulation.sources], simulation.figures, rows)
    hours = sum(row.step_ms for row in rows) / 3_600_000
    print(f"{sum(row.kind == TICK for row in rows)} ticks, {len(rows)} events, {hours:.1f} h, {TAPE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
