"""Compares the tape's tickers with those of another revision, and attributes each difference to the rule that makes it.

Only published fields are compared, so that any two revisions can be. Rule numbers are those of docs/methodology.md.
"""

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from golden.tape import START_MS, TAPE

ROOT = Path(__file__).parents[2]
CLAMP, EXCLUSION, NOISE = 0.005, 0.03, 1e-9
FRESH = {"used", "fading", "excluded"}
REMEMBERED = ("agreedPrice", "agreedTime", "pricedTime", "publisher")
PLAY = """
import sys
from golden.replay import messages
for message in messages():
    sys.stdout.buffer.write(message + b"\\n")
"""

Ticker = dict[str, Any]
Test = Callable[[Ticker, Ticker], bool]


@contextmanager
def tickers_of(revision: str) -> Iterator[Iterator[bytes]]:
    """Play the present tape to the code of another revision, with that revision's player, and yield its tickers one by one."""
    parts = "services/aggregator/src", "shared/src", "tests/golden"
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, *parts], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        shutil.copy(TAPE, Path(folder, "tests/golden"))
        path = ":".join(str(Path(folder, part)) for part in ("services/aggregator/src", "shared/src", "tests"))
        playing = subprocess.Popen([sys.executable, "-c", PLAY], env={"PYTHONPATH": path}, stdout=subprocess.PIPE)
        assert playing.stdout is not None
        try:
            yield (line.rstrip(b"\n") for line in playing.stdout)
        finally:
            playing.kill()
            playing.wait()


def _votes(ticker: Ticker) -> list[Ticker]:
    return [source for source in ticker["sources"] if source["state"] in FRESH]


def _distances(ticker: Ticker) -> dict[str, float]:
    votes = _votes(ticker)
    middle = median(source["price"] for source in votes) if votes else 1.0
    return {source["exchange"]: abs(source["price"] / middle - 1) for source in votes}


def _said(ticker: Ticker) -> list[tuple[Any, ...]]:
    """Return each source's price, its age, and whether the source is fresh by it."""
    return [(one["exchange"], one["price"], one["ageMs"], one["state"] in FRESH) for one in ticker["sources"]]


def _has_reason(ticker: Ticker, text: str) -> bool:
    return any(text in (source["reason"] or "") for source in ticker["sources"])


def _remembers_exclusions(before: Ticker, _: Ticker) -> bool:
    """Return whether a source is excluded, or not, for a reason other than the present prices."""
    distances = _distances(before)
    far = {name for name, distance in distances.items() if distance > EXCLUSION + NOISE}
    if len(distances) < 3 or 2 * (len(distances) - len(far)) <= len(distances):
        far = set()
    return far != {source["exchange"] for source in before["sources"] if source["state"] == "excluded"}


def _counts_nothing(before: Ticker, after: Ticker) -> bool:
    """Return whether a source is used without weight, for example with unknown turnover, or has no turnover."""
    is_weightless = any(one["state"] in {"used", "fading"} and one["weight"] == 0 for one in before["sources"])
    is_median = before["quality"] == "disputed" and all(one["weight"] in {0, 0.5, 1} for one in before["sources"])
    return (is_weightless and not is_median) or _has_reason(after, "no turnover")


def _differ(*names: str) -> Test:
    """Return a test of whether two tickers differ in these fields and in no other."""
    return lambda before, after: all(
        before.get(name) == after.get(name) or name in names for name in {*before, *after} - {*REMEMBERED}
    )


def _told_alike(before: Ticker, after: Ticker) -> bool:
    """Return whether two tickers differ only in the wording of their reasons."""
    stripped = [ticker | {"sources": [source | {"reason": None} for source in ticker["sources"]]} for ticker in (before, after)]
    return _differ()(*stripped)


def _without_ended(before: Ticker, after: Ticker) -> tuple[Ticker, Ticker]:
    """Return both tickers without each source that has ended in one of them and has no vote in the other."""
    ended = {one["exchange"] for ticker in (before, after) for one in ticker["sources"] if one["reason"] == "delisted"}
    ended |= {one["exchange"] for one in before["sources"]} ^ {one["exchange"] for one in after["sources"]}
    voting = {one["exchange"] for ticker in (before, after) for one in _votes(ticker)}
    if not ended or ended & voting:
        return before, after
    volumes = dict.fromkeys(("volume24h", "quoteVolume24h", "sourcesTotal"))
    return (
        before | volumes | {"sources": [one for one in before["sources"] if one["exchange"] not in ended]},
        after | volumes | {"sources": [one for one in after["sources"] if one["exchange"] not in ended]},
    )


ENDED = "3: an ended source leaves at once"
CLASSES: dict[str, Test] = {
    ENDED: lambda before, after: _has_reason(after, "delisted") != _has_reason(before, "delisted"),
    "2: which ticks are taken, and which lag": lambda before, after: _said(before) != _said(after),
    "8: how long a price is held": lambda before, after: not before["sourcesUsed"] and not after["sourcesUsed"],
    "12: no high or low is known": _differ("high24h", "low24h"),
    "9: nobody hears the market": lambda before, after: (
        _differ("quality", "sources", "high24h", "low24h")(before, after) and "stale" in {before["quality"], after["quality"]}
    ),
    "4: no exclusion is remembered": _remembers_exclusions,
    "7: one of two sides makes the price": lambda before, after: (
        _has_reason(after, "from the price") or _has_reason(before, "from the price")
    ),
    "6: unknown turnover, or none": _counts_nothing,
    "the words of reasons alone": _told_alike,
    "9: most of the turnover, or half of the votes, contradict": _differ("quality", "sources"),
    "5, 6: weights fall with the distance from the median of all": lambda _, after: (
        max(_distances(after).values(), default=0) > CLAMP + NOISE
    ),
}
"""The tests by the rule that makes a difference, in the order of testing: the first that holds hides the others."""
OTHER = "other"


@dataclass
class Difference:
    """The differing tickers of one class, summed up."""

    count: int = 0
    first: str = ""
    largest_bps: float = 0.0
    qualities: Counter[str] = field(default_factory=Counter)


class Comparison:
    """The differences between two revisions' tickers, by class."""

    def __init__(self) -> None:
        self.tickers = 0
        self.classes: dict[str, Difference] = {}

    def of(self, before: Iterable[bytes], after: Iterable[bytes]) -> Iterator[bytes]:
        """Compare two runs of tickers, and yield those of the second."""
        for one, other in zip(before, after, strict=True):
            self._take(one, other)
            yield other

    def _take(self, before_data: bytes, after_data: bytes) -> None:
        self.tickers += 1
        if before_data == after_data:
            return
        before, after = orjson.loads(before_data), orjson.loads(after_data)
        assert (before["symbol"], before["aggregatedTime"]) == (after["symbol"], after["aggregatedTime"])
        if _differ()(before, after):
            return
        before, after = _without_ended(before, after)
        if _differ()(before, after):
            name = ENDED
        else:
            name = next((name for name, test in CLASSES.items() if test(before, after)), OTHER)
        found = self.classes.setdefault(name, Difference())
        found.count += 1
        found.first = found.first or f"{after['symbol']} at {(after['aggregatedTime'] - START_MS) / 1000:.1f} s"
        if before["price"] and after["price"]:
            found.largest_bps = max(found.largest_bps, abs(after["price"] / before["price"] - 1) * 1e4)
        if before["quality"] != after["quality"]:
            found.qualities[f"{before['quality']} → {after['quality']}"] += 1

    def table(self) -> str:
        """Return the differences as a Markdown table."""
        rows = [
            (
                name,
                f"{one.count:,}",
                f"{one.largest_bps:.2f}",
                ", ".join(f"{count:,} {what}" for what, count in one.qualities.most_common(3)),
                one.first,
            )
            for name in [*CLASSES, OTHER]
            if (one := self.classes.get(name))
        ]
        same = self.tickers - sum(one.count for one in self.classes.values())
        head = ("rule", "tickers", "largest move, bp", "quality", "first")
        lines = [head, ("---",) * len(head), *rows, ("the same", f"{same:,}", "", "", "")]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
