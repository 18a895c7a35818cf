// @vitest-environment node
/** The client where there is no page: in Node.js, over real connections, with an EventSource from a package. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { EventSource } from "eventsource";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRealtimeClient, IDLE, realtimeClient } from "../src/client.ts";
import type { RealtimeClient, RealtimeClientOptions, SymbolState } from "../src/types.ts";
import { message, resolved } from "./fakes.ts";

vi.setConfig({ testTimeout: 30_000 });

let server: Server;
let baseUrl: string;
let asked: string[];
let streams: Set<ServerResponse>;
let respond: (response: ServerResponse, url: URL) => void;
let client: RealtimeClient | undefined;

const event = (data: unknown) => `data: ${JSON.stringify(data)}\n\n`;

/** Answer as a gateway does: a snapshot by REST, and a stream that stays open. */
function asGateway(response: ServerResponse, url: URL) {
  const symbols = resolved(url.searchParams.get("symbols")?.split(",") ?? []);
  if (url.pathname === "/api/ticker") {
    const tickers = symbols.map((symbol) => message(symbol, 1, { price: 1000 }));
    response.setHeader("Content-Type", "application/json").end(JSON.stringify({ tickers, missing: [] }));
    return;
  }
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const data = { symbols, instance: "here", simulated: true, resumed: false, heartbeatMs: 15_000 };
  response.write(event({ type: "connected", data }));
  for (const symbol of symbols) response.write(event({ type: "ticker", data: message(symbol, 2, { price: 2000 }) }));
}

beforeEach(async () => {
  asked = [];
  streams = new Set();
  respond = asGateway;
  server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://here");
    asked.push(url.pathname);
    if (url.pathname === "/api/realtime") {
      streams.add(response);
      response.on("close", () => streams.delete(response));
    }
    respond(response, url);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  client?.close();
  client = undefined;
  vi.unstubAllGlobals();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function listen(options: RealtimeClientOptions, symbol = "BTC"): () => SymbolState {
  client = createRealtimeClient(options);
  const store = client.symbol(symbol);
  store.subscribe(() => {});
  return store.getSnapshot;
}

const until = (isSo: () => boolean) => vi.waitFor(() => expect(isSo()).toBe(true), { timeout: 20_000, interval: 20 });

test("an EventSource that is passed as an option streams, and closing the client closes it", async () => {
  const state = listen({ baseUrl, EventSource });
  await until(() => state().status === "live");
  expect(state()).toMatchObject({ isConnected: true, error: null, ticker: { symbol: "BTC-USDT", price: 2000 } });
  expect(client?.connection.getSnapshot()).toMatchObject({ status: "live", simulated: true });
  expect(streams.size).toBe(1);
  client?.close();
  await until(() => streams.size === 0);
  expect(state().status).toBe("idle");
});

test("a global EventSource streams, even if it is defined after the client is made", async () => {
  client = realtimeClient(baseUrl);
  vi.stubGlobal("EventSource", EventSource);
  const store = client.symbol("BTC");
  store.subscribe(() => {});
  await until(() => store.getSnapshot().status === "live");
});

test("a lost stream is replaced, and so is one whose symbols change", async () => {
  const state = listen({ baseUrl, EventSource });
  await until(() => state().isConnected);
  for (const stream of streams) stream.destroy();
  await until(() => asked.filter((path) => path === "/api/realtime").length === 2 && streams.size === 1);
  const eth = client?.symbol("ETH");
  eth?.subscribe(() => {});
  await until(() => eth?.getSnapshot().isConnected === true && streams.size === 1);
});

test("a refusal has its reason as the error", async () => {
  respond = (response) => {
    const problem = { code: "api_key_needed", detail: "this gateway wants an API key", status: 401 };
    response.writeHead(401, { "Content-Type": "application/problem+json" }).end(JSON.stringify(problem));
  };
  const state = listen({ baseUrl, EventSource });
  await until(() => state().error !== null);
  expect(state()).toMatchObject({
    isConnected: false,
    error: { code: "unauthorized", message: "this gateway wants an API key" },
  });
});

test.each([
  ["a page's own origin, where there is no page", ""],
  ["no address", "nowhere"],
])("%s is reported as an error", async (_, base) => {
  const state = listen({ baseUrl: base, EventSource });
  await until(() => state().error !== null || state().status === "offline");
  expect(state().isConnected).toBe(false);
  expect(state().error).toMatchObject({ code: "unreachable", message: `${base}/api does not answer` });
});

test("without an EventSource, as on a server, the client is idle and stores no visitor's symbols", async () => {
  client = createRealtimeClient({ baseUrl });
  const store = client.symbol("BTC");
  store.subscribe(() => {});
  expect(store.getSnapshot()).toBe(IDLE);
  expect(client.symbol("ETH")).toBe(store);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(asked).toEqual([]);
});

test.each(["navigator", "BroadcastChannel", "location", "crypto", "addEventListener"])(
  "the client needs no %s",
  async (name) => {
    vi.stubGlobal(name, undefined);
    vi.stubGlobal("window", globalThis); // as in React Native
    const state = listen({ baseUrl, EventSource });
    await until(() => state().isConnected);
  },
);
