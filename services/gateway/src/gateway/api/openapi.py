"""Print the API's description: `python -m gateway.api.openapi`. The browser client's types are generated from it."""

import asyncio
import sys

import orjson

from gateway.settings import GatewaySettings
from market_pulse.bus import Reader

from .app import build_app
from .gateway import Gateway


async def description() -> bytes:
    """Return the OpenAPI document as JSON. Its keys are sorted, so that a diff shows only the changes."""
    settings = GatewaySettings()
    async with Reader.open(settings.redis_url.get_secret_value()) as bus:  # it does not connect until it is used
        document = build_app(Gateway(settings, bus)).openapi()
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.stdout.buffer.write(asyncio.run(description()))
