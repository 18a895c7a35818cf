"""What all tests share: the demo in containers, and how they are shared out between processes (`pytest -n 2`)."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from support.compose import deployed
from support.demo import Demo

settings.register_profile("untimed", deadline=None)  # how long a case takes says something of the machine alone
settings.load_profile("untimed")

CONTAINERS = (
    "tests/browser/",
    "tests/chaos/",
    *(f"tests/e2e/test_{name}.py" for name in ("compose", "sentinels", "siege_of_the_edge", "strangers", "tls")),
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # comes without types
    """A file's tests stay together, and so do all that start containers: two deployments at once would take more than turns."""

    def _split_scope(self, nodeid: str) -> str:
        return "containers" if nodeid.startswith(CONTAINERS) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)  # without `-n` there is nothing to share out
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session")
def deployment() -> Iterator[Demo]:
    """The demo in containers: one for the page, for chaos and for what Compose promises, in this order. Each leaves it whole."""
    demo = Demo()
    with deployed(demo):
        yield demo
