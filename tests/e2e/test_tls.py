"""The edge with a certificate (deploy/compose/tls.yml), in front of the demo's gateways: HTTPS, HTTP/2, and no older TLS."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest
from httpx_sse import aconnect_sse

from support.compose import on_containers
from support.demo import STREAMS_PER_IP, Demo
from support.http2 import Headers, ask, request_for
from support.waiting import PATIENCE_S, free_port, until

HSTS = "max-age=31536000"
# The command in docs/security.md.
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
)

pytestmark = on_containers()


class Edge:
    """The edge's URLs for HTTP and HTTPS, and its certificate, the only one that its clients trust."""

    def __init__(self, http: str, port: int, trust: ssl.SSLContext) -> None:
        self.http, self.port, self.trust = http, port, trust
        self.https = f"https://127.0.0.1:{port}"

    def client(self, **options: int) -> httpx.AsyncClient:
        """Return an HTTP/2 client with limits on its connections."""
        limits = httpx.Limits(**options)
        return httpx.AsyncClient(
            base_url=self.https, http1=False, http2=True, verify=self.trust, timeout=PATIENCE_S, limits=limits
        )


@pytest.fixture
async def edge(demo: Demo, tmp_path: Path) -> AsyncIterator[Edge]:
    """One more edge beside the demo's own."""
    certificate, port = tmp_path / "edge.pem", free_port()
    certificate.write_text(demo.compose("exec", "-T", "edge", *CERTIFICATE.split(), "-keyout", "-", "-out", "-"))
    certificate.chmod(0o644)
    trust = ssl.create_default_context(cafile=certificate)
    variables = {"TLS_CERTIFICATE": str(certificate), "TLS_PORT": str(port)}
    with demo.one_more("edge", "deploy/compose/tls.yml", **variables) as other:
        edge = Edge(other.page, port, trust)
        async with edge.client() as client:

            async def serves() -> bool:
                try:
                    return (await client.get("/api/ticker/BTC")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(serves)
        yield edge


async def test_https(edge: Edge) -> None:
    async with edge.client() as client:
        page = await client.get("/")
        assert (page.status_code, page.http_version) == (200, "HTTP/2")
        assert page.headers["strict-transport-security"] == HSTS
        refused = await client.get("/metrics")  # a response of the edge itself
        assert (refused.status_code, refused.headers.get("strict-transport-security")) == (404, HSTS)

        async with httpx.AsyncClient(verify=edge.trust, timeout=PATIENCE_S) as old:
            assert (await old.get(edge.https)).http_version == "HTTP/1.1"

            redirect = await old.get(f"{edge.http}/api/realtime?symbols=BTC,ETH")
            assert (redirect.status_code, redirect.headers["location"]) == (308, f"{edge.https}/api/realtime?symbols=BTC,ETH")
            assert "strict-transport-security" not in redirect.headers  # over plain HTTP it could come from an attacker


@pytest.mark.parametrize(
    ("headers", "ends", "body", "status"),
    [
        pytest.param(request_for("/livez"), True, None, 200, id="no body"),
        pytest.param(request_for("/livez"), False, None, 413, id="that never comes"),
        pytest.param(request_for("/livez"), False, b"x", 413, id="short"),
        pytest.param([(":method", "CONNECT"), (":authority", "localhost:80")], False, None, 405, id="a tunnel"),
    ],
)
async def test_a_body_is_refused(edge: Edge, headers: Headers, ends: bool, body: bytes | None, status: int) -> None:
    assert (await asyncio.to_thread(ask, edge.port, headers, ends=ends, body=body, trust=edge.trust)).status == status


async def test_a_page_full_of_streams_takes_one_connection(edge: Edge) -> None:
    """HTTP/1.1 limits a browser to six connections. An office behind one address still has only that address's streams."""
    async with edge.client(max_connections=1) as client:

        async def watch() -> None:
            async with aconnect_sse(client, "GET", "/api/realtime/BTC") as source:
                assert (source.response.status_code, source.response.http_version) == (200, "HTTP/2")
                seqs: set[int] = set()
                async for event in source.aiter_sse():
                    message = orjson.loads(event.data)
                    if message.get("type") == "ticker":
                        seqs.add(message["data"]["seq"])
                    if len(seqs) == 3:
                        break
            arrived.append(seqs)
            await everybody.wait()

        arrived: list[set[int]] = []
        everybody = asyncio.Barrier(STREAMS_PER_IP)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            for _ in range(STREAMS_PER_IP):
                tasks.create_task(watch())
        assert len(arrived) == STREAMS_PER_IP


async def test_old_tls_is_refused(edge: Edge) -> None:
    trust = edge.trust
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        trust.minimum_version, trust.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")  # otherwise this side would refuse by itself
    with pytest.raises(ssl.SSLError) as refused:
        await asyncio.open_connection("127.0.0.1", edge.port, ssl=trust)
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
