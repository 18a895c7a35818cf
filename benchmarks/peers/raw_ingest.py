"""The least work an ingest can do: receive a frame and PUBLISH it unread. `--deaf`: only receive it."""

import asyncio
import os
import sys
from urllib.parse import urlsplit

import uvloop
from websockets.asyncio.client import connect


async def main() -> None:
    redis = urlsplit(os.environ["REDIS_URL"])
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, redis.hostname or "127.0.0.1", redis.port or 6379)
    waiting: list[bytes] = []

    def publish() -> None:
        transport.write(b"".join(waiting))
        waiting.clear()

    async with connect(os.environ["WS_URL"], compression=None, max_size=None) as socket:
        while True:
            frame = await socket.recv(decode=False)
            if "--deaf" in sys.argv:
                continue
            if not waiting:
                loop.call_soon(publish)
            waiting.append(b"*3\r\n$7\r\nPUBLISH\r\n$3\r\nraw\r\n$%d\r\n%b\r\n" % (len(frame), frame))


if __name__ == "__main__":
    uvloop.run(main())
