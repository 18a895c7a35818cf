/** The client survives any messages, from a gateway or from a server in its place, and never calls a malformed price live. */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import openapi from "../openapi.json";
import { candlesOf } from "../src/candles.ts";
import { createRealtimeClient } from "../src/client.ts";
import type { Candle, RealtimeClient, TickerSource } from "../src/types.ts";
import { DEFAULT_FIELDS, isCandle } from "../src/wire.ts";
import { candle, FakeEventSource, fakeBrowser, message, past } from "./fakes.ts";

// `make fuzz TARGET=client RUNS=1000000`
const RUNS = Number(process.env.FUZZ_RUNS ?? 3000);
const LIMIT_MS = 20_000 + RUNS;

type Schema = { $ref?: string; anyOf?: Schema[]; type?: string | string[]; enum?: unknown[]; items?: Schema } & {
  properties?: Record<string, Schema>;
  required?: string[];
};

/** Whether a value conforms to a schema of the gateway's OpenAPI description. Only the keywords below are checked. */
function conforms(value: unknown, schema: Schema): boolean {
  const { schemas } = openapi.components as unknown as { schemas: Record<string, Schema> };
  if (schema.$ref) return conforms(value, schemas[schema.$ref.split("/").at(-1) ?? ""] ?? {});
  if (schema.anyOf) return schema.anyOf.some((one) => conforms(value, one));
  if (Array.isArray(schema.type)) return schema.type.some((type) => conforms(value, { ...schema, type }));
  if (schema.enum) return typeof value === typeof schema.enum[0]; // a newer gateway may use values that this description lacks
  if (schema.type === "array") return Array.isArray(value) && value.every((one) => conforms(one, schema.items ?? {}));
  if (schema.type === "number" || schema.type === "integer") return Number.isFinite(value);
  if (schema.type === "null") return value === null;
  if (schema.type === "boolean") return true; // any value, or none, will do: only its truthiness counts
  if (schema.type !== "object") return typeof value === schema.type;
  if (typeof value !== "object" || value === null) return false;
  const members = value as Record<string, unknown>;
  return Object.entries(schema.properties ?? {}).every(
    ([name, one]) => (members[name] === undefined && !schema.required?.includes(name)) || conforms(members[name], one),
  );
}

const status = {
  v: 1,
  exchange: "okx",
  state: "connected",
  reason: null,
  since: 1,
  symbols: 4,
  lastTickTime: 1,
  reconnects: 0,
};
const CONVERTED: TickerSource = {
  ...{ exchange: "okx", price: 63980.8, usedPrice: 63980.8, weight: 1, ageMs: 20, state: "used", reason: null },
  ...{ ownPrice: 64000, quoteVolumeEstimated: true },
  via: {
    ...{ symbol: "USDT-USD", seq: 3, price: 0.9997, bid: 0.9996, ask: 0.9998, open24h: 0.9999, confidence: 0.0001 },
    ...{ quality: "ok", ageMs: 200 },
  },
};
const REAL: unknown[] = [
  { type: "ticker", data: message("BTC-USDT", 7) },
  { type: "ticker", data: message("BTC-USDT", 8, { sources: [CONVERTED] }) },
  { type: "status", data: { ...status, instance: "i", simulated: false, instances: 1, others: [] } },
  { type: "connected", data: { symbols: ["BTC-USDT"], instance: "i", simulated: false, resumed: true, heartbeatMs: 15_000 } },
  { type: "candle", data: candle(28_333_333, { closed: false }) },
  { type: "candle", data: candle(28_333_334, { closed: true, buyVolume: null }) },
  { type: "bye", data: { reason: "shutdown", retryMs: 1000 } },
  { type: "resync", data: { reason: "lost" } },
];
/** Members that the client does not read, so any value will do. A publisher is only compared with another. */
const UNREAD = { publisher: null };
/** Members that a past candle lacks, and members that are not drawn. */
const UNSTREAMED = candle(28_333_333);
const HOSTILE = [
  "",
  "ok",
  "1",
  "NaN",
  "__proto__",
  "<b>",
  null,
  true,
  false,
  0,
  -1,
  0.5,
  101,
  1e308,
  -1e308,
  [],
  {},
  [[]],
  [null],
  { a: 1 },
];

/** Generates a JSON value with one member, at any depth, replaced or left out. */
function spoilt(value: unknown): fc.Arbitrary<unknown> {
  if (typeof value !== "object" || value === null || !Object.keys(value).length) return hostile;
  const members = Object.entries(value);
  return fc.oneof(
    { weight: 1, arbitrary: hostile },
    {
      weight: 9,
      arbitrary: fc.constantFrom(...members).chain(([key, inner]) =>
        fc.oneof(spoilt(inner), fc.constant(undefined)).map((other) => {
          const entries = members.map(([name, own]) => [name, name === key ? other : own]);
          return Array.isArray(value) ? entries.map(([, one]) => one) : Object.fromEntries(entries);
        }),
      ),
    },
  );
}

const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue());
const real = fc.constantFrom(...REAL);
const text = fc.oneof(
  { weight: 6, arbitrary: real.chain(spoilt).map((value) => JSON.stringify(value) ?? "") },
  { weight: 1, arbitrary: real.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.tuple(real, fc.nat(400)).map(([value, length]) => JSON.stringify(value).slice(0, length)) },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.json() },
);
const id = fc.oneof(fc.constantFrom("", "BTC-USDT:7"), fc.string({ unit: "binary" }));

let client: RealtimeClient;

beforeEach(() => {
  fakeBrowser();
  client = createRealtimeClient();
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test(
  "no event throws, makes a malformed price live, reports a malformed exchange, or opens more than one stream",
  () => {
    const { subscribe, getSnapshot } = client.symbol("BTC", { fields: ["sources", ...DEFAULT_FIELDS] });
    subscribe(() => {});
    client.connection.subscribe(() => {});
    candlesOf(client, "BTC-USDT", "1m").subscribe(() => {});
    vi.advanceTimersByTime(20);
    let lives = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(text, id), { minLength: 1, maxLength: 4 }), (events) => {
        FakeEventSource.sources = FakeEventSource.open;
        if (!FakeEventSource.sources.length) client.reconnect();
        for (const [data, lastEventId] of events) {
          FakeEventSource.newest.connect();
          FakeEventSource.newest.raw(data, lastEventId);
          vi.advanceTimersByTime(20);
          const { latest, isConnected } = getSnapshot();
          if (isConnected) {
            lives += 1;
            const read = { ...latest, ...UNREAD };
            if (!conforms(read, { $ref: "#/Ticker" })) throw new Error(`live: ${JSON.stringify(latest)}`);
          }
          for (const exchange of Object.values(client.connection.getSnapshot().exchanges))
            if (!conforms(exchange, { $ref: "#/FeedStatus" })) throw new Error(`an exchange: ${JSON.stringify(exchange)}`);
        }
        const opened = FakeEventSource.sources.length - 1;
        if (opened > events.length) throw new Error(`${events.length} events opened ${opened} streams`);
      }),
      { numRuns: RUNS, ...(process.env.FUZZ_RUNS ? {} : { seed: 1 }) },
    );
    expect(lives).toBeGreaterThan(RUNS / 20); // otherwise the test tried too little
  },
  LIMIT_MS,
);

test(
  "a malformed candle is not taken for one",
  () => {
    let taken = 0;
    const one = candle(28_333_333);
    fc.assert(
      fc.property(fc.oneof(spoilt(one), spoilt(past(one))), (spoiltOne) => {
        const value = JSON.parse(JSON.stringify(spoiltOne) ?? "null") as Candle;
        if (!isCandle(value)) return;
        taken += 1;
        const read = {
          ...UNSTREAMED,
          ...value,
          ...{ v: 1, symbol: "", interval: "1m", exchange: null, origin: "live", exchangeTime: null },
        };
        if (!conforms(read, { $ref: "#/Candle" })) throw new Error(JSON.stringify(value));
      }),
      { numRuns: RUNS, ...(process.env.FUZZ_RUNS ? {} : { seed: 1 }) },
    );
    expect(taken).toBeGreaterThan(RUNS / 20);
    expect([isCandle(one), isCandle(past(one) as Candle)]).toEqual([true, true]);
  },
  LIMIT_MS,
);
