"""The committed openapi.json, from which the browser client's types are generated, matches the code."""

from pathlib import Path

from gateway.api.openapi import description

COMMITTED = Path(__file__).parents[3] / "services/gateway/web/openapi.json"


async def test_the_committed_description_is_the_code_s() -> None:
    assert COMMITTED.read_bytes() == await description(), (
        "run `python -m gateway.api.openapi > services/gateway/web/openapi.json` and, in services/gateway/web, `npm run types`"
    )
