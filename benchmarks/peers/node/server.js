// Node's own HTTP server and ioredis: each message is written to each response that wants it.
import { createServer } from "node:http";
import Redis from "ioredis";

const responses = new Map(); // symbol -> its responses
const bus = new Redis(process.env.REDIS_URL);

await bus.psubscribe("ticker:*");
bus.on("pmessage", (_pattern, channel, ticker) => {
  const event = `data: ${ticker}\n\n`;
  for (const response of responses.get(channel.slice("ticker:".length)) ?? []) response.write(event);
});

const server = createServer((request, response) => {
  const symbols = new URL(request.url, "http://localhost").searchParams.get("symbols").split(",");
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.flushHeaders();
  for (const symbol of symbols) {
    if (!responses.has(symbol)) responses.set(symbol, new Set());
    responses.get(symbol).add(response);
  }
  request.on("close", () => {
    for (const symbol of symbols) responses.get(symbol).delete(response);
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1");
