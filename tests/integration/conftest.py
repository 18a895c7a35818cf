"""Redis servers for the integration tests."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from support.docker import no_docker
from support.redis_server import RedisServer, redis_server
from support.waiting import until
from support.whole_bus import WholeBus


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A Redis server for one test, which may kill, freeze and restart it."""
    async with redis_server() as running:
        yield running


@pytest.fixture(scope="session")
def redis_container() -> Iterator[str | None]:
    """The URL of a real Redis in a container, or None if containers cannot run here."""
    if no_docker():
        yield None
        return
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    with DockerContainer("redis:8").with_exposed_ports(6379) as container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


@pytest.fixture(params=["redis", "valkey"])
async def redis_url(request: pytest.FixtureRequest, redis_container: str | None) -> AsyncIterator[str]:
    """An empty server. Tests run on both kinds, so that both stay supported: Redis in a container and Valkey as a process."""
    if request.param == "valkey":
        async with redis_server() as running:
            yield running.url
        return
    if redis_container is None:
        pytest.skip(f"Redis runs in a container here, and {no_docker()}; Valkey is tested instead")
    from support.redis_server import answers

    async with WholeBus.open(redis_container) as bus:
        await until(lambda: answers(bus))
        await bus.client.flushall()
    yield redis_container
