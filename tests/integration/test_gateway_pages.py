"""The page's files with their headers, as a gateway serves them to any client, whether the page was built or not."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.front import FRONT

from .gateway_fixtures import Running, running_gateway

NO_BUS = "redis://127.0.0.1:1/0"  # pages need no bus
FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"
SCRIPT = "console.log('one line as good as another');\n" * 50
FILES = {
    "index.html": "<!doctype html><title>page</title>",
    "embed.html": "<!doctype html><title>embedded</title>",
    "assets/index-1a2b3c.js": SCRIPT,
    "assets/index-4d5e6f.css": "body{margin:0}",
    "market-pulse.js": SCRIPT,
    "theme.js": "void 0;",
    "icon.svg": "<svg/>",
    "favicon.ico": "icon",
    "unheard.of": "?",
}


@pytest.fixture
def front(tmp_path: Path) -> Path:
    """The folder of a built page."""
    for name, text in FILES.items():
        file = tmp_path / "static" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "static"


@pytest.fixture
async def running(front: Path) -> AsyncIterator[Running]:
    async with running_gateway(NO_BUS, connected=False, front=front) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "name", "media_type", "caching"),
    [
        ("/", "index.html", "text/html; charset=utf-8", "no-cache"),
        ("/embed", "embed.html", "text/html; charset=utf-8", "no-cache"),
        ("/assets/index-1a2b3c.js", "assets/index-1a2b3c.js", "text/javascript; charset=utf-8", FOR_EVER),
        ("/assets/index-4d5e6f.css", "assets/index-4d5e6f.css", "text/css; charset=utf-8", FOR_EVER),
        ("/market-pulse.js", "market-pulse.js", "text/javascript; charset=utf-8", A_WHILE),
        ("/theme.js", "theme.js", "text/javascript; charset=utf-8", A_WHILE),
        ("/icon.svg", "icon.svg", "image/svg+xml", A_WHILE),
        ("/favicon.ico", "favicon.ico", "image/x-icon", A_WHILE),
        ("/unheard.of", "unheard.of", "application/octet-stream", A_WHILE),
    ],
)
async def test_each_file_has_its_headers(running: Running, path: str, name: str, media_type: str, caching: str) -> None:
    answer = await running.http.get(path)
    assert (answer.status_code, answer.text) == (200, FILES[name])
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == caching
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"


@pytest.mark.parametrize(("path", "ancestors"), [("/", "'none'"), ("/embed", "*")])
async def test_a_page_loads_only_from_here_and_says_who_may_frame_it(running: Running, path: str, ancestors: str) -> None:
    policy = (await running.http.get(path)).headers["content-security-policy"]
    assert dict(directive.split(" ", 1) for directive in policy.split("; ")) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": ancestors,
    }


@pytest.mark.parametrize("path", ["/", "/embed", "/assets/index-1a2b3c.js", "/market-pulse.js"])
async def test_what_a_browser_has_is_not_sent_again(running: Running, path: str) -> None:
    first = await running.http.get(path)
    again = await running.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers.get("content-security-policy") == first.headers.get("content-security-policy")
    other = await running.http.get(path, headers={"If-None-Match": 'W/"of an older build"'})
    assert (other.status_code, other.text) == (200, first.text)


async def test_a_new_build_has_new_etags(front: Path) -> None:
    etags = []
    for text in ("<title>old</title>", "<title>new</title>"):
        (front / "index.html").write_text(text)
        async with running_gateway(NO_BUS, connected=False, front=front) as gateway:
            etags.append((await gateway.http.get("/")).headers["etag"])
    assert len(set(etags)) == 2


@pytest.mark.parametrize(
    ("path", "accepted", "encoding"),
    [
        pytest.param("/assets/index-1a2b3c.js", "gzip, br", "gzip", id="compressed"),
        pytest.param("/assets/index-1a2b3c.js", "identity", None, id="not understood"),
        pytest.param("/theme.js", "gzip, br", None, id="would be longer"),
        pytest.param("/assets/index-1a2b3c.js", "gzip;q=0", None, id="refused"),
        pytest.param("/assets/index-1a2b3c.js", "br, *;q=0.1", "gzip", id="by a star"),
    ],
)
async def test_compression(running: Running, path: str, accepted: str, encoding: str | None) -> None:
    answer = await running.http.get(path, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.text == FILES[path[1:]]
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("path", ["/", "/embed", "/assets/index-1a2b3c.js", "/market-pulse.js", "/docs"])
async def test_head_is_get_without_the_body(running: Running, path: str) -> None:
    head, get = await running.http.head(path), await running.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert [(name, value) for name, value in head.headers.multi_items() if name != "date"] == [
        (name, value) for name, value in get.headers.multi_items() if name != "date"
    ]


@pytest.mark.parametrize(
    ("allowed", "origin", "told"),
    [
        pytest.param(("*",), "https://shop.example", "*", id="any site"),
        pytest.param(("https://shop.example",), "https://shop.example", "https://shop.example", id="a site named"),
        pytest.param(("https://shop.example",), "https://other.example", None, id="a site not named"),
    ],
)
async def test_the_element_may_be_loaded_by_other_sites(
    front: Path, allowed: tuple[str, ...], origin: str, told: str | None
) -> None:
    async with running_gateway(NO_BUS, connected=False, front=front, cors_origins=allowed) as gateway:
        answer = await gateway.http.get("/market-pulse.js", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == told
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "Origin" in answer.headers["vary"]
        # One cache serves requests with and without an Origin.
        assert "Origin" in (await gateway.http.get("/market-pulse.js")).headers["vary"]


@pytest.mark.parametrize("path", ["/assets/index-0.js", "/assets/", "/assets/..%2fapp.py", "/index.html", "/static/index.html"])
async def test_nothing_else_is_served(running: Running, path: str) -> None:
    answer = await running.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/embed", "/market-pulse.js"])
async def test_a_page_that_was_not_built_is_said_to_be(tmp_path: Path, path: str) -> None:
    async with running_gateway(NO_BUS, connected=False, front=tmp_path / "static") as gateway:
        for method in ("GET", "HEAD"):
            answer = await gateway.http.request(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "make web" in (await gateway.http.get(path)).json()["detail"]
        assert (await gateway.http.get("/api/status")).status_code == 200


async def test_a_build_that_broke_off_is_served_as_far_as_it_got(front: Path) -> None:
    (front / "market-pulse.js").unlink()
    async with running_gateway(NO_BUS, connected=False, front=front) as gateway:
        assert (await gateway.http.get("/")).status_code == 200
        assert (await gateway.http.get("/market-pulse.js")).status_code == 503


@pytest.mark.skipif(not FRONT.exists(), reason="no page has been built here: run `make web`")
@pytest.mark.parametrize("path", ["/", "/embed"])
async def test_the_page_that_was_built_needs_nothing_that_its_policy_forbids(path: str) -> None:
    async with running_gateway(NO_BUS, connected=False) as gateway:
        page = (await gateway.http.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
        loaded = re.findall(r'<(?:script|link)[^>]*\s(?:src|href)="([^"]*)"', page)
        assert any(url.startswith("/assets/") for url in loaded)
        for url in loaded:
            assert (await gateway.http.get(url)).status_code == 200, url


async def test_the_documentation_loads_nothing_from_elsewhere(running: Running) -> None:
    page = await running.http.get("/docs")
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    for path in ("/openapi.json", "/icon.svg", "/docs-assets/swagger-ui-bundle.js", "/docs-assets/swagger-ui.css"):
        assert f'"{path}"' in page.text.replace("'", '"')
        assert (await running.http.get(path)).status_code == 200
