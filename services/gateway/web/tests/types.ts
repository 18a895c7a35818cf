/** Checks the types of a ticker's members: `tsc` fails if one of these lines is wrong. Absent members have `@ts-expect-error`. */
import { expectTypeOf } from "vitest";
import { realtimeClient } from "../src/client.ts";
import type { DefaultField, SymbolState, Ticker, TickerSource } from "../src/types.ts";
import { useRealtimeTicker, useRealtimeTickers } from "../src/useRealtimeTicker.ts";
import type { DEFAULT_FIELDS } from "../src/wire.ts";

expectTypeOf<(typeof DEFAULT_FIELDS)[number]>().toEqualTypeOf<DefaultField>();

export function AsksForNothing() {
  const { ticker, latest } = useRealtimeTicker({ symbol: "BTC" });
  if (!ticker || !latest) return;
  expectTypeOf(ticker).toEqualTypeOf<Ticker>();
  expectTypeOf(ticker.price).toEqualTypeOf<number>();
  expectTypeOf(latest.price).toEqualTypeOf<number | null>();
  expectTypeOf(ticker.changePercent24h).toEqualTypeOf<number>();
  expectTypeOf(latest.changePercent24h).toEqualTypeOf<number | null>();
  expectTypeOf(ticker.bid).toEqualTypeOf<number | null>();
  // @ts-expect-error
  ticker.sources;
  // @ts-expect-error
  latest.sources;
}

export function AsksForSources() {
  const { ticker, latest, isConnected } = useRealtimeTicker({ symbol: "BTC", fields: ["price", "sources"], maxHz: 1 });
  if (!ticker || !latest) return;
  expectTypeOf(isConnected).toEqualTypeOf<boolean>();
  expectTypeOf(ticker.sources).toEqualTypeOf<TickerSource[]>();
  expectTypeOf(latest.sources).toEqualTypeOf<TickerSource[]>();
  expectTypeOf(ticker.quality).toExtend<string>();
  expectTypeOf(ticker.receivedTime).toEqualTypeOf<number | null>();
  // @ts-expect-error
  ticker.bid;
}

export function AsksForSeveral() {
  const { btc } = useRealtimeTickers(["btc"], { fields: ["dp"] });
  expectTypeOf(btc?.ticker?.dp).toEqualTypeOf<number | undefined>();
  // @ts-expect-error
  btc?.ticker?.bid;
  expectTypeOf(useRealtimeTickers(["btc"]).btc).toEqualTypeOf<SymbolState | undefined>();
}

export function AsksForAnUnknownMember() {
  // @ts-expect-error
  useRealtimeTicker({ symbol: "BTC", fields: ["prize"] });
}

export function asksTheClient() {
  const { ticker } = realtimeClient()
    .symbol("BTC", { fields: ["sources"] })
    .getSnapshot();
  expectTypeOf(ticker?.sources).toEqualTypeOf<TickerSource[] | undefined>();
  // @ts-expect-error
  realtimeClient().symbol("BTC").getSnapshot().ticker?.sources;
  // A state with more members does where fewer are enough, but not the other way round.
  expectTypeOf<SymbolState<"sources" | "dp">>().toExtend<SymbolState<"dp">>();
  expectTypeOf<SymbolState<"dp">>().not.toExtend<SymbolState<"sources">>();
}
