// Everything in one Node process, as a route of a web framework would do it: three exchanges' WebSockets, a weighted mean in
// memory, an emitter, and a write to each response. Subscribes the same channels for price and turnover as the ingests do.
import { EventEmitter } from "node:events";
import { createServer } from "node:http";
import WebSocket from "ws";

const { SIMULATOR, PORT, SYMBOLS } = process.env;
const symbols = SYMBOLS.split(",");
const known = new Map(symbols.map((symbol) => [symbol, new Map()])); // symbol -> exchange -> what it said last
const ofNative = new Map(symbols.map((symbol) => [symbol.replace("-", ""), symbol]));
const prices = new EventEmitter().setMaxListeners(0);

function update(exchange, symbol, news) {
  const exchanges = known.get(symbol);
  if (!exchanges) return;
  const said = { ...exchanges.get(exchange), ...news };
  exchanges.set(exchange, said);
  if (!said.price || !said.turnover) return;
  let sum = 0;
  let weights = 0;
  let exchangeTime = 0;
  const sources = [];
  for (const [name, source] of exchanges) {
    if (!source.price || !source.turnover) continue;
    sum += source.price * source.turnover;
    weights += source.turnover;
    exchangeTime = Math.max(exchangeTime, source.time);
    sources.push({ exchange: name, price: source.price });
  }
  const price = sum / weights;
  prices.emit(symbol, JSON.stringify({ type: "ticker", data: { symbol, price, sources, exchangeTime } }));
}

function follow(url, requests, everyMs, ping, onMessage) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on("open", () => {
    requests.forEach((request, n) => setTimeout(() => socket.send(JSON.stringify(request)), n * everyMs));
    if (ping) setInterval(() => socket.send(ping), 15_000);
  });
  socket.on("message", (data) => {
    const text = data.toString();
    if (text !== "pong") onMessage(JSON.parse(text));
  });
  socket.on("close", (code, reason) => {
    console.error("closed", url, code, reason.toString());
    process.exit(1);
  });
}

function batches(items, size) {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size));
}

const natives = [...ofNative.keys()];
const streams = natives.flatMap((native) => [`${native.toLowerCase()}@ticker`, `${native.toLowerCase()}@trade`]);
follow(
  `${SIMULATOR}/stream`,
  batches(streams, 180).map((params, id) => ({ method: "SUBSCRIBE", params, id })),
  400,
  null,
  ({ data }) => {
    if (data?.e === "trade") update("binance", ofNative.get(data.s), { price: Number(data.p), time: data.E });
    else if (data?.e === "24hrTicker") update("binance", ofNative.get(data.s), { price: Number(data.c), turnover: Number(data.q), time: data.E });
  },
);
follow(
  `${SIMULATOR}/v5/public/spot`,
  batches(natives.map((native) => `tickers.${native}`), 10).map((args, id) => ({ op: "subscribe", req_id: `${id}`, args })),
  120,
  '{"op":"ping"}',
  ({ topic, data, ts }) => {
    if (topic?.startsWith("tickers.")) update("bybit", ofNative.get(data.symbol), { price: Number(data.lastPrice), turnover: Number(data.turnover24h), time: ts });
  },
);
follow(
  `${SIMULATOR}/ws/v5/public`,
  batches(symbols, 100).map((batch, id) => ({ id: `${id}`, op: "subscribe", args: batch.map((instId) => ({ channel: "tickers", instId })) })),
  600,
  "ping",
  ({ data }) => {
    for (const one of data ?? []) update("okx", one.instId, { price: Number(one.last), turnover: Number(one.volCcy24h), time: Number(one.ts) });
  },
);

createServer((request, response) => {
  const wanted = new URL(request.url, "http://localhost").searchParams.get("symbols").split(",");
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.flushHeaders();
  const write = (event) => response.write(`data: ${event}\n\n`);
  for (const symbol of wanted) prices.on(symbol, write);
  request.on("close", () => {
    for (const symbol of wanted) prices.off(symbol, write);
  });
}).listen(Number(PORT), "127.0.0.1");
