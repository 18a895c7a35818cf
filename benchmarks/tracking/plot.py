"""Draws the distances from the true price: a diagram for each symbol, and below them the faults. SVG, on light and dark."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log10
from typing import Final

from tracking.faults import Depeg, Fault

Line = Sequence[tuple[float, float]]  # times in s, and distances in basis points

COLOURS: Final = {  # Okabe and Ito's colours, which colour-blind people can tell apart
    "binance": "#e69f00",
    "bybit": "#cc79a7",
    "okx": "#56b4e9",
    "coinbase": "#0072b2",
    "kraken": "#009e73",
    "cryptocom": "#d55e00",
    "plain mean": "#999999",
}
OURS_COLOUR: Final = "#000"
WIDTH, HEIGHT, LEFT, TOP, GAP = 860, 170, 70, 60, 50
BAR = 14
STEPS = 180
LOW_BPS, HIGH_BPS = 0.1, 10_000.0


def draw(
    lines: Mapping[str, Mapping[str, Line]], faults: Sequence[Fault], off_peg: Depeg, duration_s: float, *, ours: str
) -> str:
    """Return the picture as an SVG document.

    Args:
        lines: by symbol, and by exchange or method: the distances.
        faults: the faults to show.
        off_peg: the depeg to show.
        duration_s: the length of the run.
        ours: which of the lines is our own price.
    """
    exchanges = [name for name in COLOURS if any(name == fault.exchange for fault in faults)]
    below = TOP + len(lines) * (HEIGHT + GAP)
    height, width = below + (len(exchanges) + 1) * BAR + 40, LEFT + WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(ours),
    ]
    for number, (symbol, by_name) in enumerate(lines.items()):
        parts += _panel(TOP + number * (HEIGHT + GAP), symbol, by_name, duration_s, ours)
    parts += _faults(below, exchanges, faults, off_peg, duration_s)
    return "\n".join([*parts, "</svg>", ""])


def _legend(ours: str) -> Iterator[str]:
    for number, (name, colour) in enumerate({ours: OURS_COLOUR, **COLOURS}.items()):
        x = LEFT + number * 105
        yield f'<line x1="{x}" y1="18" x2="{x + 16}" y2="18" stroke="{colour}" stroke-width="{3 if name == ours else 2}"/>'
        yield f'<text x="{x + 22}" y="22">{escape(name)}</text>'


def _panel(y: int, symbol: str, by_name: Mapping[str, Line], duration_s: float, ours: str) -> Iterator[str]:
    """Draw one diagram. A line has the largest distance in each step of time, on a logarithmic scale."""
    yield f'<text x="{LEFT}" y="{y - 10}" font-size="13" font-weight="bold">{escape(symbol)}: bps from the true price</text>'
    bound = LOW_BPS
    while bound <= HIGH_BPS:
        level = _up(y, bound)
        yield f'<line x1="{LEFT}" y1="{level:.1f}" x2="{LEFT + WIDTH}" y2="{level:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 5}" y="{level + 4:.1f}" text-anchor="end">{bound:,g}</text>'
        bound *= 10
    for name, line in sorted(by_name.items(), key=lambda one: one[0] == ours):  # ours is drawn last, on top
        largest: dict[int, float] = {}
        for at_s, off_bps in line:
            step = int(at_s / duration_s * STEPS)
            largest[step] = max(largest.get(step, 0.0), abs(off_bps))
        points = " ".join(f"{LEFT + WIDTH * step / STEPS:.0f},{_up(y, size):.1f}" for step, size in largest.items())
        colour, thickness = (OURS_COLOUR, 2.5) if name == ours else (COLOURS[name], 1.2)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thickness}"/>'


def _up(y: int, size_bps: float) -> float:
    share = log10(min(max(size_bps, LOW_BPS), HIGH_BPS) / LOW_BPS) / log10(HIGH_BPS / LOW_BPS)
    return y + HEIGHT * (1 - share)


def _faults(y: int, exchanges: Sequence[str], faults: Sequence[Fault], off_peg: Depeg, duration_s: float) -> Iterator[str]:
    """Draw a row for each exchange, with a bar for each of its faults, and the scale of time."""

    def across(at_s: float) -> float:
        return LEFT + WIDTH * at_s / duration_s

    bars = [(fault.exchange, fault.begins_s, fault.ends_s, fault.kind, COLOURS[fault.exchange]) for fault in faults]
    bars.append(("USDT", off_peg.begins_s, off_peg.ends_s, f"depeg to {off_peg.rate}", "#999999"))
    rows = [*exchanges, "USDT"]
    for number, name in enumerate(rows):
        yield f'<text x="{LEFT - 5}" y="{y + number * BAR + 10}" text-anchor="end">{escape(name)}</text>'
    for name, begins_s, ends_s, kind, colour in bars:
        x, top = across(begins_s), y + rows.index(name) * BAR
        width = across(ends_s) - x
        yield f'<rect x="{x:.1f}" y="{top + 1}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}" opacity="0.45"/>'
        yield f'<text x="{x + 2:.1f}" y="{top + 10}" font-size="9">{escape(kind)}</text>'
    for sixth in range(7):
        at_s = duration_s * sixth / 6
        yield f'<text x="{across(at_s):.0f}" y="{y + len(rows) * BAR + 16}" text-anchor="middle">{at_s / 60:g} min</text>'
