"""A server with FastAPI's own server-sent events and a queue per client."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent

queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def broadcast() -> None:
    async with redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client, client.pubsub() as bus:
        await bus.psubscribe("ticker:*")
        async for message in bus.listen():
            if message["type"] == "pmessage":
                for queue in queues[message["channel"].removeprefix("ticker:")]:
                    queue.put_nowait(message["data"])


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    job = asyncio.create_task(broadcast())
    yield
    job.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/stream", response_class=EventSourceResponse)
async def stream(symbols: str) -> AsyncIterable[ServerSentEvent]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    wanted = symbols.split(",")
    for symbol in wanted:
        queues[symbol].add(queue)
    try:
        while True:
            yield ServerSentEvent(raw_data=await queue.get())
    finally:
        for symbol in wanted:
            queues[symbol].discard(queue)
