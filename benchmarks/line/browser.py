"""The cost of a page in a real browser, with all parts running on the simulator."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import report
from browser.elsewhere import Elsewhere, elsewhere_server
from fanout.run import Run
from fanout.traffic import CACHE, HERE, ToolError
from support.stack import Stack, running_stack
from support.waiting import until

from .chromium import PROGRAM, Chromium, Page, chromium

WEB = HERE.parent / "services/gateway/web"
STATIC = HERE.parent / "services/gateway/src/gateway/static"
VITE = WEB / "node_modules/.bin/vite"
CONFIGURATION = Path(__file__).parent / "page/vite.config.mjs"
SYMBOLS = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]
EVENTS_S = 3_000.0
CARDS = f"/?symbols={','.join(symbol.partition('-')[0] for symbol in SYMBOLS)}"
ELEMENT = '<script src="{gateway}/market-pulse.js" defer></script><market-pulse symbols="BTC"></market-pulse>'
HOOK = '<div id="prices" data-gateway="{gateway}" data-symbols="BTC,ETH"></div><script src="/hook.js"></script>'


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of page: a path at the gateway, or the body of a page of another site.

    `most_kb` (a second) and `most_share` (of a core, in percent) are goals.
    """

    name: str
    path: str | None = None
    body: str = ""
    hidden: bool = False
    most_kb: float | None = None
    most_share: float | None = None


EMPTY = Kind(name="an empty page")
KINDS = (
    EMPTY,
    Kind(name="the page with four cards", path=CARDS, most_kb=4.0, most_share=12.0),
    Kind(name="the page, hidden", path=CARDS, hidden=True, most_kb=0.5),
    Kind(name="the hook with two symbols", body=HOOK, most_kb=2.0),
    Kind(name="the element with one symbol", body=ELEMENT, most_kb=1.0),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A page's cost: kB received a second, those of them in streams, and shares of a core in percent."""

    kb_s: float
    streamed_kb_s: float
    share: float
    renderer: float
    streams: tuple[str, ...]


FIGURES = ("kb_s", "streamed_kb_s", "share", "renderer")


def missing() -> str | None:
    """Return why this cannot run here, or None if it can."""
    if PROGRAM is None:
        return "no chromium on the PATH"
    if not (STATIC / "index.html").exists() or not VITE.exists():
        return "the page is not built: run `make web`"
    return None if shutil.which("node") else "no Node here"


def measure(run: Run) -> None:
    """Open each kind of page in a browser of its own, in turn, for some rounds, and print a table."""
    if (why := missing()) is not None:
        print(f"\nLEFT OUT: {why}")
        return
    settle_s, seconds = 5.0, 8.0 if run.quick else 20.0
    found = asyncio.run(_rounds(run.rounds, settle_s, seconds))
    report.table(
        f"In Chromium: {EVENTS_S:,.0f} market events a second of {len(SYMBOLS)} symbols, {seconds:g} s each",
        ("page", "kB/s received", "of them in streams", "browser, % of a core", "its renderers, %"),
        [
            (kind.name, *(report.spread([getattr(one, name) for one in costs]) for name in FIGURES))
            for kind, costs in found.items()
        ],
    )
    print("\nThe streams that they opened:\n")
    for kind, costs in found.items():
        for url in dict.fromkeys(costs[-1].streams):
            print(f"- {kind.name}: `{url.partition('/api')[2]}`")
    for kind, costs in found.items():
        if kind.most_kb is not None:
            run.at_most(f"kB/s received, {kind.name}", median(one.kb_s for one in costs), kind.most_kb)
        if kind.most_share is not None:
            run.at_most(f"% of a core, {kind.name}", median(one.share for one in costs), kind.most_share)


async def _rounds(rounds: int, settle_s: float, seconds: float) -> dict[Kind, list[Cost]]:
    script = await asyncio.to_thread(_hook_script)
    found: defaultdict[Kind, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder)) as stack, elsewhere_server() as site:
            site.serve("/hook.js", script, "text/javascript")
            await stack.limit_market(SYMBOLS, EVENTS_S, evenly=True)
            for _ in range(rounds):
                for kind in KINDS:
                    found[kind].append(await _cost_of(kind, stack, site, settle_s, seconds))
    return found


async def _cost_of(kind: Kind, stack: Stack, site: Elsewhere, settle_s: float, seconds: float) -> Cost:
    async with chromium() as browser:
        await _visit(browser, kind, stack, site)
        await asyncio.sleep(settle_s)
        before = browser.used()
        await asyncio.sleep(seconds)
        after = browser.used()
    if kind is not EMPTY and after.received == before.received:
        raise ToolError(f"{kind.name} received nothing")
    return Cost(
        kb_s=(after.received - before.received) / seconds / 1000,
        streamed_kb_s=(after.streamed - before.streamed) / seconds / 1000,
        share=100 * (after.cpu_s - before.cpu_s) / seconds,
        renderer=100 * (after.renderer_s - before.renderer_s) / seconds,
        streams=browser.streams,
    )


async def _visit(browser: Chromium, kind: Kind, stack: Stack, site: Elsewhere) -> None:
    """Open a page, and wait until it shows a price, and is hidden if it is to be."""
    gateway = str(stack.http.base_url).rstrip("/")
    url = site.show(kind.body.format(gateway=gateway)) if kind.path is None else gateway + kind.path
    page = await browser.open(url)
    if kind is EMPTY:
        return
    await until(lambda: _says(page, SHOWS_LIVE))
    if kind.hidden:
        other = await browser.open("about:blank")
        await other.bring_to_front()
        await until(lambda: _says(page, "document.hidden"))


SHOWS_LIVE = """
/\\d\\.\\d/.test([document.body, ...document.querySelectorAll("market-pulse")]
  .map((element) => (element.shadowRoot ?? element).textContent).join(" "))
"""


async def _says(page: Page, expression: str) -> bool:
    return await page.evaluate(expression) is True


def _hook_script() -> str:
    """Build the script of the page with the hook, and return it.

    Raises:
        ToolError: the build failed.
    """
    out = CACHE / "page"
    built = subprocess.run(
        [VITE, "build", "--logLevel", "error", "--config", CONFIGURATION],
        env=os.environ | {"WEB": str(WEB), "OUT": str(out)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if built.returncode:
        raise ToolError(f"the page with the hook cannot be built: {built.stderr[-300:]}")
    return (out / "hook.js").read_text()
