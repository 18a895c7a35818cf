"""Schedules the faults as a pure function of a seed. They are bounded, so that a majority of the exchanges is always sound."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = ("refuse", "mute", "garble", "stop", "spike")
FACTORS: Final = (0.5, 0.98, 0.996, 1.004, 1.02, 1.2)
"""The factors of a spike's prices."""
MOST_AT_ONCE: Final = 2
GAP_S: Final = (5.0, 30.0)
LASTS_S: Final = (10.0, 80.0)  # so that some are shorter than T_soft, and some longer than T_hard
QUIET_S: Final = 10.0
DEPEGGED_TO: Final = 0.99


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one exchange. Times are in seconds after the start. `factor` is that of a spike's prices, else 1."""

    kind: str
    exchange: str
    begins_s: float
    ends_s: float
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Depeg:
    """USDT goes to `rate` USD at all exchanges, stays there, and comes back. Times are in seconds after the start."""

    begins_s: float
    within_s: float
    hold_s: float
    rate: float = DEPEGGED_TO

    @property
    def ends_s(self) -> float:
        return self.begins_s + 2 * self.within_s + self.hold_s


def schedule(exchanges: Sequence[str], seed: int, duration_s: float) -> list[Fault]:
    """Return the faults in the order of their start.

    At most MOST_AT_ONCE exchanges are faulty at once, and at most one of them sends false prices.
    """
    rng, faults = random.Random(seed), list[Fault]()
    at_s = QUIET_S
    while at_s < duration_s - QUIET_S:
        under_way = [fault for fault in faults if fault.ends_s + QUIET_S > at_s]
        kinds = [kind for kind in KINDS if kind != "spike" or all(fault.kind != "spike" for fault in under_way)]
        kind, factor, lasts_s = rng.choice(kinds), rng.choice(FACTORS), rng.uniform(*LASTS_S)
        exchange = rng.choice([name for name in exchanges if all(fault.exchange != name for fault in under_way)])
        if len(under_way) < MOST_AT_ONCE and at_s + lasts_s < duration_s - QUIET_S:
            faults.append(Fault(kind, exchange, at_s, at_s + lasts_s, factor if kind == "spike" else 1.0))
        at_s += rng.uniform(*GAP_S)
    return faults


def depeg(duration_s: float) -> Depeg:
    """Return the one depeg, in the middle of the run: a sixth of it in all, of which USDT is away for two thirds."""
    return Depeg(duration_s / 2, within_s=duration_s / 36, hold_s=duration_s / 9)
