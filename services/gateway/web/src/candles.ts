/**
 * A symbol's candles: the past ones by REST and the newest ones from the client's stream, joined without a seam. All listeners of a
 * symbol and interval share one series, and all tabs share the requests.
 *
 * The series is sound if it was requested while the stream carried its candles, and if the stream has not been interrupted since. In
 * any other case it is in doubt, and is requested again from shortly before the doubt began.
 */
import { merged, seamIn } from "./series.ts";
import { normalizeSymbol } from "./symbolState.ts";
import { backoffMs, since } from "./timing.ts";
import type {
  Answer,
  Attach,
  Candle,
  CandleMessage,
  Interval,
  Part,
  RealtimeClient,
  RealtimeError,
  Status,
  Store,
} from "./types.ts";
import { isCandle } from "./wire.ts";

export type { Candle, Interval } from "./types.ts";

const LENGTHS_MS: Readonly<Record<Interval, number>> = { "1m": 60_000, "1h": 3_600_000, "1d": 86_400_000 };
const DEFAULT_LIMIT = 500;
const FIRST_REQUEST_MS = 1000; // without a stream, the series is requested after this
const GRACE_MS = 4000; // a shorter doubt is not reported, and neither is the time until the first message
const SILENT_MS = 10_000; // candles come every second: after this long without news they are stale
const CLOSING_MS = 10_000; // a candle is closed some seconds after the next one began; after this long the closed one is requested
const MOST_CLOSINGS = 4; // how many times it is requested before the gateway is believed that it is open
const ANSWER_MS = 15_000; // a request without an answer has failed: the tab that made it may be asleep
const ASLEEP_MS = 90_000; // code that did not run for longer was asleep; browsers wake hidden pages once a minute
const REVISED = 3; // how many candles before a doubt are requested again, because they may have been corrected
const MOST_PER_REQUEST = 1500; // the most candles that the gateway gives at once
// The exchanges' past candles come some seconds after the first request for a symbol, and some of them later. While fewer came than
// wanted, all are requested again after these times, and then every ten minutes.
const AGAIN_AFTER_MS: readonly number[] = [4000, 8000, 20_000, 60_000];
const AGAIN_EVERY_MS = 600_000;
const MOST_UNUSED = 8; // how many series without a listener are kept

/**
 * - `loading`: no candle is known yet, or the first live one has not come yet
 * - `live`: the stream renewed the newest candle within seconds, and no candle before it is missing
 * - `stale`: the newest candle is older than it should be, or some may be missing
 * - `offline`: the gateway could not be reached for half a minute
 * - `unavailable`: the gateway has no candles for this symbol. If it refuses them, `problem` has the reason
 */
export type CandlesStatus = "loading" | "live" | "stale" | "offline" | "unavailable";

/** It is frozen and replaced when anything changes, so comparing identities is enough. */
export interface CandlesState {
  /** Oldest first; the last one is open. No candle between two of them is missing, unless the gateway has none. */
  readonly candles: readonly Candle[];
  readonly status: CandlesStatus;
  readonly problem: RealtimeError | null;
  /** How many prices are missing from these candles, at most. */
  readonly missed: number;
}

export interface CandlesOptions {
  /** The most candles, up to 1500; by default 500. */
  readonly limit?: number | undefined;
}

interface Series {
  subscribe(listener: () => void, limit: number): () => void;
  getState(): CandlesState;
  isUsed(): boolean;
}

const LOADING: CandlesState = Object.freeze({ candles: Object.freeze([]), status: "loading", problem: null, missed: 0 });

/** Return the store of a symbol's candles, always the same one. While it has a listener, they stream. */
export function candlesOf(
  client: RealtimeClient,
  text: string,
  interval: Interval,
  { limit = DEFAULT_LIMIT }: CandlesOptions = {},
): Store<CandlesState> {
  const symbol = normalizeSymbol(text);
  const most = Math.min(Math.max(1, Math.floor(limit) || DEFAULT_LIMIT), MOST_PER_REQUEST);
  return client.store(`candles ${symbol ?? text} ${interval} ${most}`, (attach) => {
    if (!symbol) return refusing("not a symbol");
    if (!Object.hasOwn(LENGTHS_MS, interval)) return refusing(`no interval ${interval}: there are ${Object.keys(LENGTHS_MS)}`);
    return view(() => seriesOf(attach, symbol, interval), most);
  });
}

/** Make the store of candles that cannot be requested. */
function refusing(message: string): Store<CandlesState> {
  const problem: RealtimeError = { code: "unknown_symbol", message };
  const state: CandlesState = Object.freeze({ ...LOADING, status: "unavailable", problem });
  return { subscribe: () => () => {}, getSnapshot: () => state, getServerSnapshot: () => LOADING };
}

/** Make the store for listeners that want at most this many candles. */
function view(series: () => Series, limit: number): Store<CandlesState> {
  let seen = LOADING;
  let shown = LOADING;
  return {
    subscribe: (listener) => series().subscribe(listener, limit),
    getSnapshot() {
      const state = series().getState();
      if (state !== seen) {
        const candles = state.candles.length > limit ? Object.freeze(state.candles.slice(-limit)) : state.candles;
        const missed = candles.reduce((sum, candle) => sum + (candle.missed ?? 0), 0);
        [seen, shown] = [state, Object.freeze({ ...state, candles, missed })];
      }
      return shown;
    },
    getServerSnapshot: () => LOADING,
  };
}

const known = new WeakMap<Attach, Map<string, Series>>(); // each client's series, those that were requested first first

/** Return a client's series of a symbol and interval. Of those without a listener, the oldest ones are dropped. */
function seriesOf(attach: Attach, symbol: string, interval: Interval): Series {
  const all = known.get(attach) ?? new Map<string, Series>();
  known.set(attach, all);
  const key = `${symbol} ${interval}`;
  const found = all.get(key);
  if (found) return found;
  const unused = [...all].filter(([, one]) => !one.isUsed());
  for (const [old] of unused.slice(0, -MOST_UNUSED)) all.delete(old);
  const made = makeSeries(attach, symbol, interval);
  all.set(key, made);
  return made;
}

function makeSeries(attach: Attach, symbol: string, interval: Interval): Series {
  const kind = `candle:${interval}:${symbol}`;
  const prefix = `/api/candles/${encodeURIComponent(symbol)}?interval=${interval}&limit=`;
  const lengthMs = LENGTHS_MS[interval];
  const listeners = new Map<() => void, number>(); // each with its limit
  let attached: ReturnType<Attach> | null = null;
  let limit = 0; // the largest of any listener so far

  // What is known.
  let fullName = ""; // the symbol in full, as the gateway told it
  let candles: readonly Candle[] = [];
  let settledTo = -Infinity; // the gateway has no other candles up to this start than the known ones
  let isAnswered = false; // whether any request was answered: before that, nothing tells what comes before a candle
  let heard: { readonly at: number; readonly publishedTime: number } | null = null; // the stream's newest news, but its first
  let refusal: RealtimeError | null = null;
  let problem: RealtimeError | null = null; // why the newest request failed
  let isProblemTold = false; // whether a gateway told the problem

  // Doubt.
  let carriedSince = 0; // the `since` of the stream that carries these candles; 0 if no stream does
  let isFirst = true; // no candle has come from that stream yet: the first one may be an old one
  let doubtedAt = 0; // when the doubt began; 0 if there is no doubt
  let doubtedFrom = Infinity; // candles from this start on are in doubt
  let openAt = 0; // since when a candle is open although a later one has begun
  let openTo = -Infinity; // up to this start, the gateway itself says that candles are still open
  let attachedAt = 0;
  let wasLive = false; // since it was attached
  let lookedAt = 0; // when `settle` last ran

  // Requests.
  let asking: { readonly path: string; readonly at: number } | null = null; // the one whose answer has not come
  let tries = 0; // how many requests in a row have not ended the need
  let askNotBefore = 0;
  let again = 0; // how many requests were made because fewer candles came than wanted
  let againAt = 0; // when the next one is due
  let wantsAll = true; // the next request is for as many candles as there may be

  let cut: readonly Candle[] = LOADING.candles; // the candles before the first seam
  let cutOf: readonly [readonly Candle[], number] = [candles, 0]; // what `cut` was made of
  let state = LOADING;

  /** Return the start from which on candles may have changed since these were known. */
  function doubtfulFrom(all: readonly Candle[]): number {
    const newest = all.at(-1);
    return newest ? newest.start - REVISED * lengthMs : -Infinity;
  }

  /** Note that candles may be missing from shortly before the newest one on. */
  function doubt() {
    doubtedFrom = Math.min(doubtedFrom, doubtfulFrom(candles));
    doubtedAt = Date.now();
    tries = 0;
    askNotBefore = carriedSince ? 0 : doubtedAt + FIRST_REQUEST_MS;
    isFirst = true;
  }

  /** Add candles, and return whether any has news. If the symbol has come to mean another one, start anew. */
  function add(name: string, news: readonly Candle[]): boolean {
    if (fullName && name !== fullName) {
      candles = [];
      settledTo = openTo = -Infinity;
      isAnswered = false;
      wantsAll = true;
      heard = null;
      doubt();
    }
    fullName = name;
    const before = candles;
    candles = merged(candles, news, limit);
    return candles !== before;
  }

  function hearAnswer({ path, at, since: streamSince, body, error, status, waitMs }: Answer) {
    if (!path.startsWith(prefix)) return;
    const isOurs = asking?.path === path;
    if (isOurs) asking = null;
    const { symbol: name = "", candles: told } = (body ?? {}) as { symbol?: string; candles?: readonly Candle[] };
    const isGood = name && Array.isArray(told) && told.every(isCandle);
    if (!isGood && !isOurs) return; // another tab's request says nothing about the candles that are known here
    problem = isGood || body === undefined ? error : { code: "bad_data", message: "not candles" };
    isProblemTold = status > 0;
    askNotBefore = Date.now() + Math.max(waitMs, backoffMs(tries || 1));
    if (!isGood) return;
    add(name, told);
    const asked = Number(path.slice(prefix.length));
    const lastSound = Math.min(candles[seamIn(candles, settledTo) - 1]?.start ?? Infinity, doubtedFrom);
    wantsAll = told.length >= asked && asked < limit && (wantsAll || !((told[0]?.start ?? 0) <= lastSound));
    if (wantsAll) return; // there are older ones that are needed, too
    isAnswered = true;
    againAt = Date.now() + (AGAIN_AFTER_MS[again] ?? AGAIN_EVERY_MS);
    settledTo = Math.max(settledTo, told.at(-1)?.start ?? -Infinity);
    if (at < doubtedAt || !carriedSince || streamSince !== carriedSince) {
      doubtedFrom = Math.max(doubtedFrom, doubtfulFrom(told)); // the earlier ones are as the gateway had them just now
      return;
    }
    doubtedAt = 0;
    doubtedFrom = Infinity;
    askNotBefore = 0;
  }

  function hearCandle(candle: CandleMessage) {
    if (candle.interval !== interval || candle.exchange !== null || !isCandle(candle)) return;
    if (add(candle.symbol, [candle]) && !isFirst)
      heard = { at: Date.now(), publishedTime: candle.publishedTime ?? candle.receivedTime };
    isFirst = false;
  }

  /** Return the start from which on candles are needed, or null if all are known. */
  function neededFrom(now: number, seam: number): number | null {
    if (doubtedAt) return doubtedFrom;
    if (seam < candles.length) return candles[seam - 1]?.start ?? null;
    const open = candles.find((candle, index) => !candle.closed && candle.start > openTo && index < candles.length - 1);
    if (!open) openAt = 0;
    else if (!openAt) openAt = now;
    if (open && now - openAt >= CLOSING_MS) {
      if (tries < MOST_CLOSINGS) return open.start;
      openTo = open.start;
    }
    if (candles.length >= limit || now < againAt) return null;
    return -Infinity;
  }

  function ask(from: number, now: number) {
    const end = Math.max(now, candles.at(-1)?.end ?? 0);
    if (!doubtedAt && from === -Infinity) {
      again += 1;
      wantsAll = true;
    }
    const count = wantsAll ? limit : Math.min(limit, Math.ceil((end - from) / lengthMs) + 1);
    tries += 1;
    asking = { path: `${prefix}${count}`, at: now };
    attached?.get(asking.path);
  }

  function statusOf(link: Status): CandlesStatus {
    if (isHopeless(refusal)) return "unavailable";
    if (link === "offline") return "offline";
    const newest = cut.at(-1);
    const isRenewed = heard && newest && since(heard.at) < SILENT_MS && heard.publishedTime - newest.start <= 2 * lengthMs;
    if (link === "live" && isRenewed && (!doubtedAt || since(doubtedAt) < GRACE_MS)) {
      wasLive = true;
      return "live";
    }
    if (!newest && (problem ? isProblemTold : isAnswered && since(attachedAt) >= SILENT_MS)) return "unavailable";
    return newest && (wasLive || problem || since(attachedAt) >= GRACE_MS) ? "stale" : "loading";
  }

  const part: Part = {
    symbol,
    hear([type, data]) {
      if (type === "candle") hearCandle(data);
      else if (type === "answer") hearAnswer(data);
      else if (type === "refused") refusal = data.error;
    },
    settle(link, linkStatus) {
      const now = Date.now();
      const carrying = link.up && link.kinds.includes(kind) ? link.since : 0;
      if (carrying !== carriedSince || now - lookedAt > ASLEEP_MS) {
        carriedSince = carrying;
        doubt();
      }
      lookedAt = now;
      if (asking && since(asking.at) > ANSWER_MS) {
        problem = { code: "unreachable", message: "no answer" };
        isProblemTold = false;
        asking = null;
      }
      const seam = isAnswered ? seamIn(candles, settledTo) : 0;
      const from = neededFrom(now, seam);
      if (from === null) tries = 0;
      else if (!asking && now >= askNotBefore && !isHopeless(refusal) && linkStatus !== "idle" && (carrying || !isHidden()))
        ask(from, now);

      if (cutOf[0] !== candles || cutOf[1] !== seam) [cut, cutOf] = [Object.freeze(candles.slice(0, seam)), [candles, seam]];
      const status = statusOf(linkStatus);
      const told = refusal ?? problem ?? (status === "live" ? null : link.error);
      if (cut === state.candles && status === state.status && told === state.problem) return;
      state = Object.freeze({ candles: cut, status, problem: told, missed: 0 });
      for (const listener of listeners.keys()) listener();
    },
  };

  return {
    subscribe(listener, most) {
      const own = () => listener(); // a new function each time, because the same listener may subscribe twice
      listeners.set(own, most);
      if (most > limit) {
        limit = most;
        wantsAll = true;
        if (attached) doubt();
      }
      if (!attached) {
        attachedAt = lookedAt = Date.now();
        again = 0;
        carriedSince = 0;
        wasLive = false;
        asking = heard = null;
        doubt();
        attached = attach(part, { symbols: [symbol], kinds: [kind], fields: [], maxHz: 4 });
      }
      return () => {
        if (!listeners.delete(own) || listeners.size) return;
        attached?.end();
        attached = null;
        state = Object.freeze({ ...state, status: "loading", problem: null });
      };
    },
    getState: () => state,
    isUsed: () => listeners.size > 0,
  };
}

/** Whether nobody sees the page. Without a stream, candles are then not requested. */
const isHidden = () => !!globalThis.document?.hidden;

/** Whether no candles will come as long as this refusal holds. */
function isHopeless(refusal: RealtimeError | null): boolean {
  return refusal?.code === "unknown_symbol" || refusal?.code === "too_many_symbols";
}
