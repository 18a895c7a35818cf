"""Which requests pass when keys are required. A key is never passed on beyond the comparison."""

from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.api.app import build_app
from gateway.api.gateway import Gateway
from gateway.api.keys import ApiKeys
from gateway.settings import GatewaySettings
from market_pulse.bus import Reader
from market_pulse.process.settings import load_settings

KEY, OTHER = "k" * 16, "another-key.of~16"


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the check of keys: it returns the request that it received."""
    await JSONResponse(scope["query_string"].decode())(scope, receive, send)


async def ask(target: str, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(ApiKeys(behind, [KEY, OTHER]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/api/ticker/BTC", {"Authorization": f"Bearer {KEY}"}),
        ("/api/ticker/BTC", {"Authorization": f"bearer  {OTHER}"}),
        ("/api/ticker/BTC", {"X_API_Key": OTHER}),
        ("/api/ticker/BTC", {"Authorization": "Basic abc", "X_API_Key": KEY}),
        (f"/api/realtime/BTC?api_key={KEY}", {}),
        (f"/api/realtime?symbols=BTC&api_key={OTHER}&max_hz=1", {}),
        ("/", {}),
        ("/assets/index.js", {}),
        ("/livez", {}),
        ("/readyz", {}),
        ("/metrics", {}),
        ("/openapi.json", {}),
    ],
)
async def test_who_is_let_in(target: str, headers: dict[str, str]) -> None:
    answer = await ask(target, **headers)
    assert answer.status_code == 200
    assert KEY not in answer.text
    assert OTHER not in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/api/ticker/BTC", {}),
        ("/api/status", {}),
        ("/api", {}),
        ("/api/realtime/BTC/", {}),
        ("/api/realtime/BTC", {"Authorization": "Bearer"}),
        ("/api/realtime/BTC", {"Authorization": f"Bearer {KEY}x"}),
        ("/api/realtime/BTC", {"Authorization": f"Basic {KEY}"}),
        ("/api/realtime/BTC", {"Authorization": f"Bearer {KEY[:-1]}"}),
        ("/api/realtime/BTC", {"X_API_Key": f"{KEY},{OTHER}"}),
        ("/api/realtime/BTC?api_key=", {}),
        (f"/api/realtime/BTC?api_key={KEY.upper()}", {}),
        (f"/api/realtime/BTC?xapi_key={KEY}", {}),
        (f"/api/ticker/BTC?api_key={KEY}", {}),  # proxies log the URL, so a key in a parameter is accepted only for streams
    ],
)
async def test_who_is_not(target: str, headers: dict[str, str], method: str) -> None:
    answer = await ask(target, method, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["cache-control"] == "no-store"
    assert KEY.lower() not in answer.text.lower()


async def test_a_stream_s_request_goes_on_without_its_key() -> None:
    answer = await ask(f"/api/realtime?symbols=BTC%2CETH&api_key={KEY}&max_hz=1&api_key=wrong")
    assert answer.json() == "symbols=BTC%2CETH&max_hz=1"


async def test_the_description_speaks_of_keys_only_where_they_are_needed() -> None:
    async def described(**settings: Any) -> dict[str, Any]:
        made = GatewaySettings(**settings)
        async with Reader.open(made.redis_url.get_secret_value()) as bus:  # connects only when used
            return build_app(Gateway(made, bus)).openapi()

    assert "securitySchemes" not in (await described())["components"]
    document = await described(api_keys=KEY)
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header", "query"}
    ways = {path: {way for one in methods["get"]["security"] for way in one} for path, methods in document["paths"].items()}
    assert ways["/api/realtime/{symbol}"] == ways["/api/realtime"] == {"bearer", "header", "query"}
    assert all("bearer" in way for way in ways.values())
    assert all("401" in methods["get"]["responses"] for methods in document["paths"].values())


@pytest.mark.parametrize("text", [f"{KEY},{OTHER}", f" {KEY}\n{OTHER}\n", f"{KEY}, {OTHER},"])
def test_keys_are_read_from_a_variable_or_the_lines_of_a_file(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("API_KEYS", text)
    settings = load_settings(GatewaySettings)
    assert [key.get_secret_value() for key in settings.api_keys] == [KEY, OTHER]
    assert KEY not in repr(settings)


@pytest.mark.parametrize("text", [",", "secretshort", f"{KEY},secret with spaces", "secret/" + KEY])
def test_a_weak_key_is_refused_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv("API_KEYS", text)
    with pytest.raises(SystemExit):
        load_settings(GatewaySettings)
    told = capsys.readouterr().err
    assert "API_KEYS" in told
    assert "secret" not in told
    assert KEY not in told
