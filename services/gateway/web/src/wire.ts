/** Whether a message has all that it must have: what is drawn or computed with is never anything but a number or a text. */
import type { FeedStatus, TickerMessage } from "./types.ts";

type Test = (value: unknown) => boolean | undefined;

const isText: Test = (value) => typeof value === "string";
const isNumber: Test = Number.isFinite;
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);

/** Test the members of an object, named with spaces between them; what is no object has none. */
const have = (value: unknown, test: Test, names: string) =>
  names.split(" ").every((name) => test((value as Record<string, unknown> | null)?.[name]));

const allOf = (value: readonly unknown[], test: Test) => value?.every?.(test); // of what JSON knows, only arrays have this

const isSource: Test = (source) =>
  have(source, isText, "exchange state") &&
  have(source, isNumber, "price weight ageMs") &&
  have(source, orNull(isNumber), "usedPrice") &&
  have(source, orNull(isText), "reason");

const isCopy: Test = (copy) =>
  have(copy, isText, "instance state") && have(copy, orNull(isText), "reason") && have(copy, isNumber, "since");

export const isTicker = (ticker: TickerMessage) =>
  have(ticker, isText, "symbol") && // a quality that is not known is not live; that is for who shows it
  have(ticker, isNumber, "v seq dp sourcesUsed sourcesTotal aggregatedTime") &&
  have(
    ticker,
    orNull(isNumber),
    "price bid ask change24h changePercent24h open24h high24h low24h volume24h quoteVolume24h confidence spreadBps exchangeTime receivedTime",
  ) &&
  (ticker.price ?? 1) > 0 &&
  allOf(ticker.sources, isSource);

export const isStatus = (status: FeedStatus) =>
  isCopy(status) &&
  have(status, isText, "exchange") &&
  have(status, isNumber, "v symbols reconnects instances") &&
  have(status, orNull(isNumber), "lastTickTime") &&
  allOf(status.others, isCopy); // `simulated` may be anything that is true or not
