/**
 * Candles against a model: a gateway that makes candles, corrects them, has minutes without any, and whose answers, messages and streams
 * come late, out of order or not at all. In any such order the series that is shown never has a seam and never goes back. As soon as
 * all is delivered it is the gateway's own.
 */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { candlesOf } from "../src/candles.ts";
import { createRealtimeClient } from "../src/client.ts";
import { replaces } from "../src/series.ts";
import type { Candle, CandleMessage } from "../src/types.ts";
import { candle, FakeEventSource, type FakeRest, fakeBrowser, MINUTE_MS, pass, past } from "./fakes.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 300);
const LIMIT = 8;
const FIRST = Math.floor(1_700_000_000_000 / MINUTE_MS);

/** The gateway: its candles by minute, and the messages that it makes of them. */
class Gateway {
  readonly candles = new Map<number, CandleMessage>();
  minute = FIRST;
  private seq = 0;

  constructor(past: number) {
    for (let count = 0; count < past; count += 1) this.next(0);
  }

  get newest(): CandleMessage | undefined {
    return this.candles.get(this.minute);
  }

  private put(minute: number, more: Partial<CandleMessage>): CandleMessage {
    const times = { publishedTime: this.minute * MINUTE_MS };
    const made = candle(minute, { ...this.candles.get(minute), ...times, ...more });
    this.candles.set(minute, made);
    return made;
  }

  /** A price comes: the open candle changes. */
  renew(): CandleMessage[] {
    this.seq += 1;
    return [this.put(this.minute, { closed: false, lastSeq: this.seq, close: this.seq })];
  }

  /** A later minute begins: the next one, or one after minutes without a candle. The one before is closed after that. */
  next(skipped: number): CandleMessage[] {
    const before = this.minute;
    this.minute += 1 + skipped;
    const opened = this.renew();
    return this.candles.has(before) ? [...opened, this.put(before, { closed: true })] : opened;
  }

  /** A closed candle is corrected. */
  correct(back: number): CandleMessage[] {
    const closed = [...this.candles.entries()].filter(([minute]) => minute < this.minute).sort(([one], [two]) => two - one);
    const [minute, known] = closed[back % Math.max(1, closed.length)] ?? [];
    return minute && known ? [this.put(minute, { revision: known.revision + 1, close: known.close + 0.1 })] : [];
  }

  list(limit: number): Candle[] {
    const all = [...this.candles.values()].sort((one, two) => one.start - two.start);
    return all.slice(-limit).map((one) => (one.closed ? past(one) : one));
  }
}

const change = fc.oneof(
  { weight: 2, arbitrary: fc.record({ does: fc.constant("renew" as const) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("next" as const), skipped: fc.constantFrom(0, 0, 0, 1, 3) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("correct" as const), back: fc.nat(2) }) },
);
const step = fc.oneof(
  { weight: 10, arbitrary: change },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant("missed" as const), changes: fc.array(change, { minLength: 1, maxLength: 6 }) }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("lose" as const) }) }, // the connection breaks
  { weight: 2, arbitrary: fc.record({ does: fc.constant("drop" as const) }) }, // messages are left out from now on, or no longer
  { weight: 2, arbitrary: fc.record({ does: fc.constant("connect" as const) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("repeat" as const), back: fc.nat(20) }) }, // an old message comes again
  { weight: 3, arbitrary: fc.record({ does: fc.constant("answer" as const), fails: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("wait" as const), ms: fc.constantFrom(20, 20, 300, 1000, 2500) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("return" as const) }) }, // the listener leaves, and comes back
);

let rest: FakeRest;

beforeEach(() => {
  rest = fakeBrowser();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Compare the shown candles with those shown before, and with all that the gateway ever had. */
function check(shown: readonly Candle[], before: ReadonlyMap<number, Candle>, gateway: Gateway) {
  for (const [place, one] of shown.entries()) {
    const known = before.get(one.start);
    if (known && replaces(known, one)) throw new Error(`went back: ${JSON.stringify([known, one])}`);
    const previous = shown[place - 1];
    if (!previous) continue;
    if (previous.start >= one.start) throw new Error("out of order");
    for (let minute = previous.end / MINUTE_MS; minute < one.start / MINUTE_MS; minute += 1)
      if (gateway.candles.has(minute)) throw new Error(`a seam at ${minute}`);
  }
}

test(
  "in any order of answers, messages, losses and corrections nothing goes back, no seam shows, and the end is the truth",
  async () => {
    let shownAny = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 3, 8, 9, 18),
        fc.array(step, { minLength: 1, maxLength: 25 }),
        async (count, steps) => {
          FakeEventSource.sources = [];
          const gateway = new Gateway(count);
          const waiting: ((fails: boolean) => void)[] = []; // requests without an answer yet
          vi.stubGlobal("fetch", (url: string, { signal }: { signal: AbortSignal }) => {
            if (url.includes("/api/realtime")) return Promise.reject(new TypeError("down"));
            const limit = Number(new URL(url, "http://here").searchParams.get("limit"));
            return new Promise<Response>((resolve, reject) => {
              signal.addEventListener("abort", () => reject(new DOMException("late", "AbortError")));
              const body = JSON.stringify({ symbol: "BTC-USDT", interval: "1m", exchange: null, candles: gateway.list(limit) });
              waiting.push((fails) => (fails ? reject(new TypeError("lost")) : resolve(new Response(body))));
            });
          });
          const client = createRealtimeClient();
          const { subscribe, getSnapshot } = candlesOf(client, "BTC-USDT", "1m", { limit: LIMIT });
          let end = subscribe(() => {});
          const said: CandleMessage[] = [];
          let drops = false;
          const before = new Map<number, Candle>();
          const stream = () => FakeEventSource.open.find((source) => source.readyState === FakeEventSource.OPEN);
          const publish = (messages: CandleMessage[]) => {
            for (const data of messages) {
              if (drops && !data.revision) continue; // what a later message or a missing one tells may be left out
              said.push(data);
              stream()?.say({ type: "candle", data });
            }
          };
          const look = () => {
            const { candles } = getSnapshot();
            if (candles.length > LIMIT) throw new Error("too many");
            shownAny += candles.length;
            check(candles, before, gateway);
            for (const one of candles) before.set(one.start, one);
          };
          const connect = () => {
            const opening = FakeEventSource.open.find((source) => source.readyState === FakeEventSource.CONNECTING);
            if (!opening) return;
            opening.connect();
            if (gateway.newest) publish([gateway.newest]);
          };
          try {
            await pass(20);
            if (count > LIMIT + 1) {
              // The longest series begins live.
              connect();
              await pass(20);
              for (const answer of waiting.splice(0)) answer(false);
              await pass(20);
            }
            const made = (one: typeof change extends fc.Arbitrary<infer C> ? C : never) =>
              one.does === "renew"
                ? gateway.renew()
                : one.does === "next"
                  ? gateway.next(one.skipped)
                  : gateway.correct(one.back);
            for (const one of steps) {
              if (one.does === "renew" || one.does === "next" || one.does === "correct") publish(made(one));
              else if (one.does === "missed") {
                // The gateway's own connection breaks, so it misses changes. It says so, and sends the newest state.
                for (const missed of one.changes) made(missed);
                stream()?.say({ type: "resync", data: { reason: "lost" } });
                publish(gateway.renew());
              } else if (one.does === "lose") stream()?.fail();
              else if (one.does === "drop") drops = !drops;
              else if (one.does === "connect") connect();
              else if (one.does === "repeat" && said.length)
                stream()?.say({ type: "candle", data: said.at(-1 - (one.back % said.length)) as CandleMessage });
              else if (one.does === "answer") waiting.shift()?.(one.fails);
              else if (one.does === "return") {
                end();
                end = subscribe(() => {});
              } else if (one.does === "wait") await pass(one.ms);
              await pass(0);
              look();
            }
            // Now all is delivered: streams open, requests are answered, prices come.
            drops = false;
            for (let second = 0; second < 100; second += 1) {
              connect();
              for (const answer of waiting.splice(0)) answer(false);
              publish(gateway.renew());
              await pass(1000);
              look();
            }
            const { candles, status, problem } = getSnapshot();
            const truth = gateway.list(LIMIT);
            expect(candles.map(({ start, closed, revision, close }) => [start, closed, revision, close])).toEqual(
              truth.map(({ start, closed, revision, close }) => [start, closed, revision, close]),
            );
            expect({ status, problem }).toEqual({ status: "live", problem: null });
          } finally {
            end();
            client.close();
            await pass(0);
          }
        },
      ),
      { numRuns: RUNS, ...(process.env.FUZZ_RUNS ? {} : { seed: 7 }) },
    );
    expect(shownAny).toBeGreaterThan(RUNS * 100); // otherwise the test tried too little
    expect(rest.asked).toEqual([]);
  },
  60_000 + RUNS * 400,
);
