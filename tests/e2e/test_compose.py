"""The demo in containers as users start it: open ports, networks, rights of the Redis users, and failover between gateways.

The tests run in this order, on the deployment that all tests with containers share.
"""

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import orjson
from httpx_sse import aconnect_sse
from redis.asyncio import Redis

from support.compose import ROOT, Deployment, on_containers
from support.demo import STREAMS_PER_IP
from support.exchanges import NAMES as EXCHANGES
from support.parts import SETTINGS
from support.prometheus import names_in, panel_expressions, rules
from support.waiting import PATIENCE_S, until

MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"


@contextlib.asynccontextmanager
async def stream(demo: Deployment, path: str, **headers: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Open a stream through the edge, as `{"type": …, "data": …}` messages."""
    async with (
        httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S, headers=headers) as client,
        aconnect_sse(client, "GET", path) as source,
    ):
        source.response.raise_for_status()

        async def messages() -> AsyncGenerator[dict[str, Any]]:
            async for event in source.aiter_sse():
                if event.event == "message":
                    yield orjson.loads(event.data)

        reading = messages()
        try:
            yield reading
        finally:
            await reading.aclose()


async def ticker_of_all(messages: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """Return the first ticker to whose price all exchanges contribute."""
    async with asyncio.timeout(PATIENCE_S):
        async for message in messages:
            if message["type"] == "ticker" and message["data"]["sourcesUsed"] == len(EXCHANGES):
                ticker: dict[str, Any] = message["data"]
                return ticker
    raise AssertionError("the stream ended")


def test_every_variable_is_in_the_example() -> None:
    """.env.example names each setting of each part."""
    documented = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {name.upper() for kind in SETTINGS.values() for name in kind.model_fields} - documented == set()


class TestCompose:
    pytestmark = on_containers()

    def test_every_variable_reaches_its_part(self) -> None:
        """Compose passes each setting on or fixes it. A setting that is missing there could not be set at all."""
        services = json.loads(Deployment("config").compose("config", "--format", "json"))["services"]
        missing = {
            f"{service}: {name.upper()}"
            for service, kind in SETTINGS.items()
            for name in kind.model_fields
            if name.upper()
            not in {*services[service]["environment"], "REDIS_URL"}  # each part has its own REDIS_URL, as a secret
        }
        assert missing == set()

    async def test_stream_comes_through_the_edge(self, demo: Deployment) -> None:
        async with stream(demo, "/api/realtime/BTC") as messages:
            connected = await anext(messages)
            assert connected["type"] == "connected"
            assert connected["data"]["simulated"] is True
            ticker = await ticker_of_all(messages)
        assert {source["exchange"] for source in ticker["sources"]} == EXCHANGES

    def test_only_the_edge_and_the_bus_are_published(self, demo: Deployment) -> None:
        published = {
            service: [
                (one["HostIp"], int(one["HostPort"]))
                for ports in container["NetworkSettings"]["Ports"].values()
                for one in ports or ()
            ]
            for service, [container] in demo.containers().items()
        }
        assert {service: ports for service, ports in published.items() if ports} == {
            "edge": [("127.0.0.1", demo.page_port)],
            "bus-port": [("127.0.0.1", demo.redis_port)],
        }

    def test_containers_may_do_little(self, demo: Deployment) -> None:
        for service, [container] in demo.containers().items():
            assert demo.compose("exec", "-T", service, "id", "-u").strip() == "10001", service
            host = container["HostConfig"]
            assert host["ReadonlyRootfs"], service
            assert host["CapDrop"] == ["ALL"], service
            assert host["SecurityOpt"] == ["no-new-privileges:true"], service
            assert host["Memory"] > 0, service
            assert host["PidsLimit"] > 0, service

    def test_nothing_is_left_behind(self, demo: Deployment) -> None:
        """`down` removes the containers, and with `--volumes` the volumes named in the file. Any other would stay for ever."""
        containers = demo.compose("ps", "--all", "--quiet").split()
        known = json.loads(
            subprocess.run(["docker", "inspect", *containers], capture_output=True, check=True, timeout=30).stdout
        )
        volumes = {mount["Name"] for container in known for mount in container["Mounts"] if mount["Type"] == "volume"}
        assert len(known) > len(SETTINGS)
        assert {volume for volume in volumes if not volume.startswith(f"{demo.project}_")} == set()

    def test_only_ingests_get_out(self, demo: Deployment) -> None:
        """Other parts are on a non-internal network only to be reached from this machine, and that network lets nothing out."""
        networks = json.loads(demo.compose("config", "--format", "json"))["networks"]
        for service, [container] in demo.containers().items():
            open_ones = {
                name
                for name, network in networks.items()
                if network["name"] in container["NetworkSettings"]["Networks"] and not network.get("internal")
            }
            allowed = {"edge": {"edge-port"}, "bus-port": {"bus-port"}}.get(service, set())
            assert open_ones == ({"egress"} if service.startswith("ingest-") else allowed), service
        masquerade = {name: network.get("driver_opts", {}).get(MASQUERADE, "true") for name, network in networks.items()}
        assert {name for name, network in networks.items() if not network.get("internal") and masquerade[name] == "true"} == {
            "egress"
        }

    def test_a_part_knows_no_password_but_its_own(self, demo: Deployment) -> None:
        for service in (*(f"ingest-{name}" for name in sorted(EXCHANGES)), "aggregator", "candles", "gateway"):
            assert demo.compose("exec", "-T", service, "ls", "/run/secrets").split() == [f"{service}.password", "redis_url"]
            assert f"//{service}:" in demo.compose("exec", "-T", service, "cat", "/run/secrets/redis_url")

    def test_inside_is_inside(self, demo: Deployment) -> None:
        assert httpx.get(f"{demo.page}/metrics").status_code == 404
        assert httpx.get(f"{demo.page}/haproxy").status_code == 200

    def test_the_edge_tells_what_alerts_and_dashboard_ask_it(self, demo: Deployment) -> None:
        read = "import urllib.request; print(urllib.request.urlopen('http://edge:8405/metrics').read().decode())"
        told = set(re.findall(r"^# TYPE (\S+)", demo.compose("exec", "-T", "gateway", "python", "-c", read), re.MULTILINE))
        expressions = [rule["expr"] for rule in rules()] + [expression for _, expression in panel_expressions()]
        asked = {name for expression in expressions for name in names_in(expression) if name.startswith("haproxy_")}
        assert len(asked) > 3
        assert asked <= told

    async def test_any_symbol_straight_from_redis(self, demo: Deployment) -> None:
        """Subscribing to DOGE makes it stream, although no client requested it before."""
        async with Redis.from_url(demo.redis_url) as redis, redis.pubsub() as bus, asyncio.timeout(PATIENCE_S):
            await bus.subscribe("ticker:DOGE-USDT", *(f"ticks:{exchange}:DOGE-USDT" for exchange in EXCHANGES))
            heard: set[str] = set()
            while heard != {"ticker", *EXCHANGES}:
                message = await bus.get_message(ignore_subscribe_messages=True, timeout=1)
                if message:
                    kind, *rest = message["channel"].decode().split(":")
                    heard.add(rest[0] if kind == "ticks" else kind)
                # If the symbol was carried already, an exchange on which it is rarely traded may say nothing new for minutes.
                heard |= {exchange for exchange in EXCHANGES if await redis.exists(f"last:ticks:{exchange}:DOGE-USDT")}

    async def test_a_client_cannot_choose_its_address(self, demo: Deployment) -> None:
        """The limit per address holds, even if a client invents an X-Forwarded-For header."""
        async with contextlib.AsyncExitStack() as streams:
            for number in range(STREAMS_PER_IP):
                opened = stream(demo, "/api/realtime/BTC", **{"X-Forwarded-For": f"203.0.113.{number}"})
                await anext(await streams.enter_async_context(opened))
            async with httpx.AsyncClient() as client:
                refused = await client.get(f"{demo.page}/api/realtime/BTC", headers={"X-Forwarded-For": "203.0.113.99"})
            assert refused.status_code == 429

    async def test_a_killed_gateway_costs_a_reconnect(self, demo: Deployment) -> None:
        await asyncio.to_thread(demo.compose, "up", "--detach", "--wait", "--no-recreate", "--scale", "gateway=3", within_s=90)

        async def instance() -> str:
            async with stream(demo, "/api/realtime/BTC") as messages:
                connected = await anext(messages)
                await ticker_of_all(messages)
                return str(connected["data"]["instance"])

        async def all_three() -> bool:
            return len(set(await asyncio.gather(*(instance() for _ in range(6))))) == 3

        await until(all_three)
        async with stream(demo, "/api/realtime/BTC") as messages:
            container = (await anext(messages))["data"]["instance"].split(":")[0]
            await asyncio.to_thread(subprocess.run, ["docker", "kill", container], check=True, capture_output=True, timeout=30)
            with contextlib.suppress(httpx.RemoteProtocolError):
                async with asyncio.timeout(PATIENCE_S):
                    async for _ in messages:
                        pass
        assert container not in await instance()  # at once, and through a living gateway

    async def test_a_gateway_that_hangs_costs_a_reconnect(self, demo: Deployment) -> None:
        """The edge must cut the connection, since an EventSource waits as long as its connection is open."""
        async with stream(demo, "/api/realtime/BTC") as messages:
            container = (await anext(messages))["data"]["instance"].split(":")[0]
            await asyncio.to_thread(subprocess.run, ["docker", "pause", container], check=True, capture_output=True, timeout=30)
            try:
                with contextlib.suppress(httpx.RemoteProtocolError):
                    async with asyncio.timeout(PATIENCE_S):
                        async for _ in messages:
                            pass
            finally:
                resume = ["docker", "unpause", container]
                await asyncio.to_thread(subprocess.run, resume, check=True, capture_output=True, timeout=30)

    async def test_without_redis_a_stream_still_opens_and_says_that_its_price_is_stale(self, demo: Deployment) -> None:
        """An EventSource never retries after a refusal, and a gateway with old prices is better than no gateway."""
        await asyncio.to_thread(demo.compose, "stop", "redis")
        try:
            async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:

                async def is_unready() -> bool:
                    return (await client.get("/readyz")).status_code == 503

                await until(is_unready)
            async with stream(demo, "/api/realtime/BTC") as messages, asyncio.timeout(PATIENCE_S):
                async for message in messages:
                    if message["type"] == "ticker" and message["data"]["quality"] == "stale":
                        break
        finally:
            await asyncio.to_thread(demo.compose, "start", "redis")
        async with stream(demo, "/api/realtime/BTC") as messages:
            await ticker_of_all(messages)

    async def test_without_a_gateway_the_edge_says_when_to_come_back(self, demo: Deployment) -> None:
        await asyncio.to_thread(demo.compose, "stop", "gateway")
        async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:
            refused = httpx.Response(0)

            async def status() -> int:
                nonlocal refused
                # While the last gateway goes or the first one comes, the edge may have to cut a connection that it has passed on.
                with contextlib.suppress(httpx.RemoteProtocolError):
                    refused = await client.get("/api/ticker/BTC")
                return refused.status_code

            async def is_refused() -> bool:
                return await status() == 503

            await until(is_refused)
            assert refused.headers["content-type"] == "application/problem+json"
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json()["status"] == 503
            await asyncio.to_thread(demo.compose, "start", "gateway")

            async def answers() -> bool:
                return await status() == 200

            await until(answers)
