"""sse-starlette with a bounded queue per client, like its broadcasting example. A client whose queue is full is cut off."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

LONGEST_QUEUE = 100
Queue = asyncio.Queue[str | None]
queues: defaultdict[str, set[Queue]] = defaultdict(set)


async def events(symbols: list[str]) -> AsyncIterator[dict[str, str]]:
    queue = Queue(LONGEST_QUEUE)
    for symbol in symbols:
        queues[symbol].add(queue)
    try:
        while (ticker := await queue.get()) is not None:
            yield {"data": ticker}
    finally:
        for symbol in symbols:
            queues[symbol].discard(queue)


async def stream(request: Request) -> EventSourceResponse:
    return EventSourceResponse(events(request.query_params["symbols"].split(",")))


async def broadcast() -> None:
    async with redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client, client.pubsub() as bus:
        await bus.psubscribe("ticker:*")
        async for message in bus.listen():
            if message["type"] != "pmessage":
                continue
            listening = queues[message["channel"].removeprefix("ticker:")]
            for queue in list(listening):
                try:
                    queue.put_nowait(message["data"])
                except asyncio.QueueFull:
                    listening.discard(queue)
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait(None)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    job = asyncio.create_task(broadcast())
    yield
    job.cancel()


app = Starlette(routes=[Route("/stream", stream)], lifespan=lifespan)
