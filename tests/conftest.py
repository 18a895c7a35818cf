"""Fixtures for all tests: the demo in containers, and the distribution of tests over processes (`pytest -n 3`)."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from support.compose import deployed
from support.demo import Demo

settings.register_profile("untimed", deadline=None)  # the duration of a case depends on the machine
settings.load_profile("untimed")

CONTAINERS = (
    "tests/browser/",
    "tests/chaos/",
    *(f"tests/e2e/test_{name}.py" for name in ("compose", "sentinels", "siege_of_the_edge", "strangers", "tls")),
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # comes without types
    """Keeps the tests of a file in one process, and all tests with containers, since two deployments at once take all of two cores.

    The other tests mostly wait, so there are more processes than cores.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "containers" if nodeid.startswith(CONTAINERS) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)  # the hook exists only with pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session")
def deployment() -> Iterator[Demo]:
    """The demo in containers. The tests of the page, of chaos and of Compose share it in this order; each leaves it whole."""
    demo = Demo()
    with deployed(demo):
        yield demo
