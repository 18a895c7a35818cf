"""Fixtures for a real browser on the demo in containers. All tests here share one browser and one event loop."""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from support.compose import on_containers
from support.demo import Demo
from support.waiting import PATIENCE_S

from .elsewhere import Elsewhere, elsewhere_server
from .visitor import REPORT_VIOLATIONS, Visitor

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox",  # root cannot use the sandbox, and the tests' own pages do not need it
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # no request leaves this machine
]

expect.set_options(timeout=PATIENCE_S * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the common marks to each test in this folder."""
    marks = [
        *on_containers(),
        pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH"),
        pytest.mark.asyncio(loop_scope="package"),
    ]
    for item in items:
        if HERE in item.path.parents:
            for mark in marks:
                item.add_marker(mark, append=False)


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that runs Chromium so that it does not see containers starting and ending as network changes."""
    program = tmp_path_factory.mktemp("browser") / "chromium"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "unwatched_network.py"}" "{CHROMIUM}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def demo(deployment: Demo) -> AsyncIterator[Demo]:
    """The demo, with all prices complete at the start of each test."""
    await deployment.ready()
    yield deployment
    await deployment.recover()


@pytest_asyncio.fixture(loop_scope="package")
async def visitor(browser: Browser, demo: Demo) -> AsyncIterator[Visitor]:
    """A visitor with an empty browser profile. The test fails on any error that it did not allow."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    await context.add_init_script(REPORT_VIOLATIONS)
    visitor = Visitor(context, demo.page)
    yield visitor
    complaints = await visitor.complaints()
    await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="package")
async def elsewhere(visitor: Visitor) -> AsyncIterator[Elsewhere]:
    """Another site that the visitor may open."""
    async with elsewhere_server() as site:
        visitor.allow_origin(site.url)
        yield site
