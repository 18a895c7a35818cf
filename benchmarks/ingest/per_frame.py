"""Measures the time from a frame's bytes to a normalised object, for each kind of frame."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

import report
from ingest.frames import Recording
from ingest.peers import CRYPTOFEED_READS, PEERS, WITH_PEERS

OURS = ("event", "tick", "message")
LIMIT_S = 300
Costs = dict[str, dict[str, list[float]]]
"""Microseconds by kind of frame and program, one figure a round."""


def measure(recordings: Sequence[Recording], rounds: int, cryptofeed: str | None) -> None:
    """Print a table with a row for each kind of frame, and the ratios to the peers."""
    rows = [row for recording in recordings for row in _rows(recording, _costs(recording, rounds, cryptofeed))]
    columns = (
        "frame",
        *OURS,
        "cryptofeed",
        "ccxt",
        "cryptofeed to event",
        "cryptofeed to tick",
        "ccxt to event",
        "ccxt to tick",
    )
    report.table("One frame, us, and how many times as long the peers take", columns, rows)


def _rows(recording: Recording, costs: Costs) -> list[tuple[report.Cell, ...]]:
    rows: list[tuple[report.Cell, ...]] = []
    for kind, by_name in costs.items():
        figures = [median(by_name[name]) if name in by_name else None for name in (*OURS, "cryptofeed", "ccxt")]
        ratios = [
            report.ratio(by_name[peer], by_name[ours]) if peer in by_name else None
            for peer in ("cryptofeed", "ccxt")
            for ours in ("event", "tick")
        ]
        rows.append((f"{recording.adapter.exchange} {kind}", *figures, *ratios))
    return rows


def _costs(recording: Recording, rounds: int, cryptofeed: str | None) -> Costs:
    exchange, frames = recording.adapter.exchange, str(recording.file)
    programs = {
        name: [sys.executable, str(PEERS / "ours_frames.py"), exchange, frames, str(recording.listing), name] for name in OURS
    }
    programs["ccxt"] = [sys.executable, str(PEERS / "ccxt_frames.py"), exchange, frames, str(recording.markets)]
    if cryptofeed is not None and exchange in CRYPTOFEED_READS:
        script = str(PEERS / "cryptofeed_ingest.py")
        programs["cryptofeed"] = [cryptofeed, script, "frames", exchange, frames, str(recording.listing)]
    costs: Costs = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        for name, command in programs.items():
            answer = subprocess.run(command, env=WITH_PEERS, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S).stdout
            for kind, cost_us in json.loads(answer).items():
                costs[kind][name].append(cost_us)
    return costs
