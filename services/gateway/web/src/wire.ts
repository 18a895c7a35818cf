/** Checks the messages from the gateway: all members that came, and that are drawn or computed with, must have the right types. */
import type { Candle, CandleMessage, FeedStatus, Field, TickerMessage } from "./types.ts";

type Test = (value: unknown) => boolean | undefined;

const isText: Test = (value) => typeof value === "string";
const isNumber: Test = Number.isFinite;
const isFlag: Test = (value) => typeof value === "boolean";
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);
const ifAny =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value);

/** Test members of an object. A value that is not an object has no members. */
const have = (value: unknown, test: Test, ...names: readonly string[]) =>
  names.every((name) => test((value as Record<string, unknown> | null)?.[name]));

const allOf = (value: unknown, test: Test) => (value as readonly unknown[] | null)?.every?.(test); // in JSON, only arrays have `every`

const isVia: Test = (rate) =>
  have(rate, isText, "symbol", "quality") &&
  have(rate, isNumber, "seq") &&
  have(rate, orNull(isNumber), "price", "bid", "ask", "open24h", "confidence", "ageMs");

const isSource: Test = (source) =>
  have(source, isText, "exchange", "state") &&
  have(source, ifAny(isNumber), "ownPrice") &&
  have(source, ifAny(isVia), "via") &&
  have(source, isNumber, "weight", "ageMs") &&
  have(source, orNull(isNumber), "price", "usedPrice") &&
  have(source, orNull(isText), "reason");

const isCopy: Test = (copy) =>
  have(copy, isText, "instance", "state") && have(copy, orNull(isText), "reason") && have(copy, isNumber, "since");

const COUNTS = ["dp", "sourcesUsed", "sourcesTotal"] as const;
const FIGURES = [
  "bid",
  "ask",
  "change24h",
  "changePercent24h",
  "open24h",
  "high24h",
  "low24h",
  "volume24h",
  "quoteVolume24h",
  "confidence",
  "spreadBps",
  "exchangeTime",
  "agreedPrice",
  "agreedTime",
  "pricedTime",
] as const;

/** The members that a listener gets beside those that always come, unless it asks for others: all but `sources`. */
export const DEFAULT_FIELDS = [...COUNTS, ...FIGURES] as const satisfies readonly Field[];

export const isTicker = (ticker: TickerMessage<"sources">) =>
  have(ticker, isText, "symbol") && // `quality` is not checked here: the client does not call an unknown one live
  have(ticker, isNumber, "v", "seq", "aggregatedTime") &&
  have(ticker, orNull(isNumber), "price", "receivedTime") &&
  (ticker.price ?? 1) > 0 &&
  have(ticker, ifAny(isNumber), ...COUNTS) &&
  have(ticker, ifAny(orNull(isNumber)), ...FIGURES) &&
  have(
    ticker,
    ifAny((sources) => allOf(sources, isSource)),
    "sources",
  );

/** Whether a candle's symbol and interval can be told. What reads candles checks the rest. */
export const isNamed = (candle: CandleMessage) => have(candle, isText, "symbol", "interval");

export const isCandle = (candle: Candle) =>
  have(candle, isNumber, "start", "end", "open", "high", "low", "close", "revision") &&
  candle.start < candle.end &&
  have(candle, orNull(isNumber), "volume", "quoteVolume", "trades", "missed") &&
  have(candle, isFlag, "closed") &&
  have(candle, ifAny(orNull(isNumber)), "vwap", "buyVolume", "firstSeq", "lastSeq", "seen", "receivedTime", "publishedTime") &&
  have(
    candle,
    ifAny((exchanges) => allOf(exchanges, isText)),
    "exchanges",
  );

export const isStatus = (status: FeedStatus) =>
  isCopy(status) &&
  have(status, isText, "exchange") &&
  have(status, isNumber, "v", "symbols", "reconnects", "instances") &&
  have(status, orNull(isNumber), "lastTickTime") &&
  allOf(status.others, isCopy); // `simulated` may have any type, because only its truthiness counts
