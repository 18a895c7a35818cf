/** Checks the messages from the gateway: all fields that are drawn or computed with must have the right types. */
import type { FeedStatus, TickerMessage } from "./types.ts";

type Test = (value: unknown) => boolean | undefined;

const isText: Test = (value) => typeof value === "string";
const isNumber: Test = Number.isFinite;
const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value);

/** Test members of an object; `names` are separated by spaces. A value that is not an object has no members. */
const have = (value: unknown, test: Test, names: string) =>
  names.split(" ").every((name) => test((value as Record<string, unknown> | null)?.[name]));

const allOf = (value: readonly unknown[], test: Test) => value?.every?.(test); // among JSON values, only arrays have `every`

const isSource: Test = (source) =>
  have(source, isText, "exchange state") &&
  have(source, isNumber, "weight ageMs") &&
  have(source, orNull(isNumber), "price usedPrice") &&
  have(source, orNull(isText), "reason");

const isCopy: Test = (copy) =>
  have(copy, isText, "instance state") && have(copy, orNull(isText), "reason") && have(copy, isNumber, "since");

export const isTicker = (ticker: TickerMessage) =>
  have(ticker, isText, "symbol") && // `quality` is not checked here: the client does not call an unknown one live
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
  allOf(status.others, isCopy); // `simulated` may have any type, because only its truthiness counts
