"""Schedules the faults as a pure function of a seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Final, get_args

from simulator.faults import Action, StandingFault
from support.exchanges import NAMES

EXCHANGES: Final = tuple(sorted(NAMES))
ALL: Final = -1
"""Used instead of a copy's number: all copies of the part at once."""

Place = tuple[str, ...]
INGESTS: Final[Place] = tuple(f"ingest-{exchange}" for exchange in EXCHANGES)
PART_FAULTS: Final[Mapping[str, Place]] = {
    "killed": (*INGESTS, "aggregator", "gateway"),
    "paused": (*INGESTS, "aggregator", "gateway"),
    "stopped": ("aggregator",),  # its symbols are handed over, and it joins again
    "rolled": ("gateway",),
}
REDIS_FAULTS: Final = ("restarted", "killed", "frozen", "connections cut", "buffers cut")

LOSES_SUBSCRIBERS: Final = frozenset(REDIS_FAULTS) - {"frozen"}  # subscribers wait for a server that is frozen this briefly

_KINDS_AT: Final[Mapping[str, Place]] = {
    "nested_errors": ("binance",),
    "server_shutdown": ("binance",),
    "bybit_restart": ("bybit",),
    "notice_64008": ("okx",),
    "kraken_maintenance": ("kraken",),
    "bare_ack": ("cryptocom",),
}
EXCHANGE_FAULTS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "mute": ({}, {"symbol": "BTC-USDT"}),
    "refuse": ({"status": 503}, {"status": 451}, {"status": 429, "retry_after_s": 3}),
    "half_open": ({}, {"also_new": True}),
    "clock": ({"ms": -7000}, {"ms": 7000}),
    "late": ({"ms": 3000, "share": 0.5},),
    "spike": ({"factor": 1.2}, {"factor": 0.98}, {"factor": 0.5, "symbol": "BTC-USDT"}),
    "garbage": ({"share": 0.3}, {}),
    "empty": ({},),
    "duplicate": ({},),
    "delist": ({"symbol": "SOL-USDT"},),
    "no_open": ({},),
    "nested_errors": ({"on": False},),
    "cut": ({},),
    "burst": ({"n": 500, "stall_s": 2},),
    "server_shutdown": ({},),
    "notice_64008": ({"close_after_s": 3},),
    "bybit_restart": ({},),
    "kraken_maintenance": ({},),
    "begin_anew": ({}, {"symbol": "BTC-USDT"}),
    "correct_candle": ({"symbol": "BTC-USDT"},),
    "never_closed": ({},),
    "closed_twice": ({},),
    "few_candles": ({"rows": 10},),
    "old_candles": ({},),
    "bare_ack": ({},),
}
ACTIONS: Final = frozenset(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Action))
KINDS_OF_SIMULATOR: Final = ACTIONS | {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(StandingFault)}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its place, its start in seconds after the start of its episode, and its duration (0: it is done at once).

    The place is a service of the deployment, or an exchange of the simulator.
    """

    kind: str
    place: str
    at_s: float = 0.0
    for_s: float = 3.0
    copy: int = ALL
    parameters: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        which = "" if self.copy == ALL else f" {self.copy + 1}"
        how = "".join(f" {name}={value}" for name, value in self.parameters)
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at_s:.1f} s {self.place}{which} {self.kind}{how}{lasts}"


Episode = tuple[Fault, ...]
"""Faults that overlap. After them the system has time to recover."""


def seconds_of(episode: Episode) -> float:
    """Return the time in seconds from the start of an episode to the end of its last fault."""
    return max(fault.at_s + fault.for_s for fault in episode)


def schedule(seed: int, seconds: float, copies: Mapping[str, int]) -> list[Episode]:
    """Return episodes of one to three faults, which take `seconds` in all without the time to recover.

    Kinds are dealt like cards, so that each comes once before any comes again. All else is random.
    """
    dice = random.Random(seed)
    deck: list[str] = []
    episodes: list[Episode] = []
    while sum(map(seconds_of, episodes)) < seconds:
        faults: list[Fault] = []
        for _ in range(dice.choice((1, 2, 2, 3))):
            deck = deck or dice.sample(_CARDS, len(_CARDS))
            fault = _draw(deck.pop(), dice, copies)
            if fault.place not in {other.place for other in faults} - set(EXCHANGES) - {"*"}:  # not killed while paused
                faults.append(fault)
            else:
                deck.insert(0, fault.kind if fault.place != "redis" else f"redis {fault.kind}")
        episodes.append(tuple(faults))
    return episodes


def pairs() -> Iterator[Episode]:
    """Yield each exchange fault alone, then each pair of them, on the same exchange if both can occur there."""
    for number, (one, other) in enumerate(combinations_with_replacement(EXCHANGE_FAULTS, 2)):
        chosen = EXCHANGES[number % len(EXCHANGES)]
        where = _KINDS_AT.get(one) or _KINDS_AT.get(other) or (chosen,)
        faults = {
            kind: Fault(
                kind,
                _KINDS_AT.get(kind, where)[0],
                parameters=tuple(EXCHANGE_FAULTS[kind][number % len(EXCHANGE_FAULTS[kind])].items()),
            )
            for kind in (one, other)
        }
        yield tuple(faults.values())


_CARDS: Final[Sequence[str]] = (*PART_FAULTS, *(f"redis {kind}" for kind in REDIS_FAULTS), *EXCHANGE_FAULTS)

_AT_ONCE: Final = {"rolled", "redis restarted", "redis connections cut", "redis buffers cut"}


def _draw(card: str, dice: random.Random, copies: Mapping[str, int]) -> Fault:
    at_s, for_s = round(dice.uniform(0, 5), 1), 0.0 if card in _AT_ONCE else round(dice.uniform(2, 10), 1)
    if card in PART_FAULTS:
        place = dice.choice(PART_FAULTS[card])
        copy = ALL if card == "rolled" or dice.random() < 0.2 else dice.randrange(copies[place])
        return Fault(card, place, at_s, for_s, copy)
    if card not in EXCHANGE_FAULTS:
        return Fault(card.removeprefix("redis "), "redis", at_s, for_s)
    place = dice.choice(_KINDS_AT.get(card) or (*EXCHANGES, *EXCHANGES, "*"))
    return Fault(card, place, at_s, for_s, parameters=tuple(dice.choice(EXCHANGE_FAULTS[card]).items()))
