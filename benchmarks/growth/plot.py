"""Draws the figures as one picture: a column for each sweep, cores above, memory below. SVG, readable on light and dark."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

from growth.sweep import Sweep, Window, Windows, middle

COLOURS = {  # Okabe and Ito's colours, which colour-blind people can tell apart
    "Redis": "#d55e00",
    "aggregator": "#0072b2",
    "gateway": "#009e73",
    "simulator": "#999999",
    "ingest-binance": "#e69f00",
    "ingest-bybit": "#cc79a7",
    "ingest-okx": "#56b4e9",
}
WIDTH, HEIGHT, LEFT, TOP, GAP_X, GAP_Y = 250, 150, 60, 70, 60, 65

Series = dict[str, list[tuple[int, float]]]  # by part: step and figure


def draw(found: Mapping[Sweep, Windows]) -> str:
    """Return the picture as an SVG document."""
    width = LEFT + len(found) * (WIDTH + GAP_X)
    height = TOP + 2 * (HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(),
    ]
    for row, what in enumerate(("cores", "resident memory, MiB")):
        every = [_series(windows, what) for windows in found.values()]
        top = max((value for series in every for line in series.values() for _, value in line), default=1.0) * 1.05
        for column, (sweep, series) in enumerate(zip(found, every, strict=True)):
            x, y = LEFT + column * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y)
            parts += _panel(x, y, sweep.title if row == 0 else "", what if column == 0 else "", sweep.steps, series, top)
    return "\n".join([*parts, "</svg>", ""])


def _series(windows: Windows, what: str) -> Series:
    series: Series = {}
    for step, of_step in windows.items():
        for part in COLOURS:
            figure = middle([_figure(window, what).get(part) for window in of_step])
            if figure is not None:
                series.setdefault(part, []).append((step, figure))
    return series


def _figure(window: Window, what: str) -> dict[str, float]:
    return window.cores if what == "cores" else window.memory_mb


def _legend() -> list[str]:
    drawn = []
    for number, (part, colour) in enumerate(COLOURS.items()):
        x = LEFT + number * 125
        drawn.append(f'<line x1="{x}" y1="22" x2="{x + 18}" y2="22" stroke="{colour}" stroke-width="3"/>')
        drawn.append(f'<text x="{x + 24}" y="26">{escape(part)}</text>')
    return drawn


def _panel(x: int, y: int, title: str, axis: str, steps: Sequence[int], series: Series, top: float) -> list[str]:
    """Draw one diagram, with the steps on a logarithmic scale and the figures from 0 to `top`."""
    low, high = log10(max(1, steps[0], steps[1] / 10)), log10(steps[-1])

    def across(step: int) -> float:
        return x + WIDTH * (max(log10(max(step, 1)), low) - low) / (high - low)

    def up(value: float) -> float:
        return y + HEIGHT * (1 - value / top)

    drawn = [
        f'<text x="{x}" y="{y - 12}" font-size="13" font-weight="bold">{escape(title)}</text>',
        f'<text transform="translate({x - 42},{y + HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(axis)}</text>',
    ]
    for quarter in range(5):
        value = top * quarter / 4
        drawn.append(f'<line x1="{x}" y1="{up(value):.1f}" x2="{x + WIDTH}" y2="{up(value):.1f}" stroke="#ddd"/>')
        drawn.append(f'<text x="{x - 5}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    drawn += [f'<text x="{across(step):.1f}" y="{y + HEIGHT + 16}" text-anchor="middle">{step:,}</text>' for step in steps]
    for part, line in series.items():
        points = " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in line)
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[part]}" stroke-width="2"/>')
        drawn += [
            f'<circle cx="{across(step):.1f}" cy="{up(value):.1f}" r="3" fill="{COLOURS[part]}"/>' for step, value in line
        ]
    return drawn
