/** Whether a message has all that it must have: what is drawn or computed with is never anything but a number or a text. */
import type { FeedStatus, TickerMessage } from "./types.ts";

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === "string";
const isNumber: Test = Number.isFinite;
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);

/** Test the members of an object, named with spaces between them; what is no object has none. */
const have = (value: unknown, test: Test, names: string) =>
  names.split(" ").every((name) => test((value as Record<string, unknown> | null)?.[name]));

const allOf = (value: unknown, test: Test) => Array.isArray(value) && value.every(test);

const isSource: Test = (source) =>
  have(source, isText, "exchange state") &&
  have(source, isNumber, "price weight ageMs") &&
  have(source, orNull(isNumber), "usedPrice") &&
  have(source, orNull(isText), "reason");

const isCopy: Test = (copy) =>
  have(copy, isText, "instance state") && have(copy, isNumber, "since") && have(copy, orNull(isText), "reason");

export const isTicker = (ticker: TickerMessage): boolean =>
  have(ticker, isText, "symbol") && // a quality that is not known is not live; that is for who shows it
  have(ticker, isNumber, "v seq dp sourcesUsed sourcesTotal aggregatedTime") &&
  have(
    ticker,
    orNull(isNumber),
    "bid ask change24h changePercent24h open24h high24h low24h volume24h quoteVolume24h confidence spreadBps exchangeTime receivedTime",
  ) &&
  have(
    ticker,
    orNull((price) => isNumber(price) && Number(price) > 0),
    "price",
  ) &&
  allOf(ticker.sources, isSource);

export const isStatus = (status: FeedStatus): boolean =>
  isCopy(status) &&
  have(status, isText, "exchange") &&
  have(status, isNumber, "v symbols reconnects instances") &&
  have(status, orNull(isNumber), "lastTickTime") &&
  have(status, (value) => typeof value === "boolean", "simulated") &&
  allOf(status.others, isCopy);
