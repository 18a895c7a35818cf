import { describe, expect, test } from "vitest";
import { clockOffset, LatencyMeter, median } from "../../src/page/exchanges/latency.ts";
import type { Ticker } from "../../src/types.ts";
import { message } from "../fakes.ts";

describe("latency", () => {
  const ticker = (exchangeTime: number | null, more = {}) =>
    message("BTC-USDT", 1, { exchangeTime, receivedTime: 1010, aggregatedTime: 1012, ...more }) as Ticker;

  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
    [[], Number.NaN],
  ])("median of %j", (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test("is measured hop by hop, on the gateway's clock", () => {
    const meter = new LatencyMeter();
    meter.take(ticker(900), 0); // a snapshot is not a sample
    meter.take(ticker(1000), 520);
    expect(meter.read(500, 520)).toEqual({
      total: 20,
      exchangeToIngest: 10,
      ingestToAggregator: 2,
      aggregatorToBrowser: 8,
      samples: 1,
    });
  });

  test("is never negative: the prices themselves correct a bad comparison of the clocks", () => {
    const meter = new LatencyMeter();
    meter.take(ticker(900), 0);
    meter.take(ticker(1000), 520);
    expect(meter.read(400, 520)).toMatchObject({ total: 12, aggregatorToBrowser: 0 });
  });

  test("corrects each publisher's clock separately", () => {
    const meter = new LatencyMeter();
    meter.take(ticker(900), 0);
    meter.take(ticker(1000), 520);
    meter.take(ticker(1001, { publisher: "ten minutes ahead", aggregatedTime: 601_013 }), 521);
    expect(meter.read(500, 521)).toMatchObject({ total: 20, aggregatorToBrowser: 4 });
  });

  test("is not measured from snapshots, repetitions, prices without a time, or old prices", () => {
    const meter = new LatencyMeter();
    meter.take(ticker(1000), 1020);
    meter.take(ticker(1000), 5000);
    meter.take(ticker(null), 5000);
    expect(meter.read(0, 5000)).toBeNull();
    meter.take(ticker(6000), 6020);
    expect(meter.read(0, 6020)).not.toBeNull();
    expect(meter.read(0, 60_000)).toBeNull();
  });

  test("uses the clock reading with the shortest round trip", () => {
    const slow = { sentAt: 0, heardAt: 400, gatewayTime: 1000 };
    const fast = { sentAt: 1000, heardAt: 1020, gatewayTime: 1510 };
    expect(clockOffset([slow, fast])).toEqual({ offsetMs: 500, errorMs: 10 });
    expect(clockOffset([])).toBeNull();
  });
});
