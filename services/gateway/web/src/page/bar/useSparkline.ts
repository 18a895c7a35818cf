/** A symbol's prices of the last ten minutes: first from the gateway's history, then from the live stream. */
import { useEffect, useState } from "react";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { fetchHistory } from "../history.ts";
import { pausedAt } from "../settings.ts";
import { useValue } from "../value.ts";
import { extend, GAP_MS, type Point, SPAN_MS, STEP_MS } from "./sparkline.ts";

const RENEW_MS = 1000;

export interface SparklinePoints {
  readonly points: readonly Point[];
  /** Whether the history could not be loaded. Then the points begin with the first live price. */
  readonly hasFailed: boolean;
}

export function useSparkline(symbol: string): SparklinePoints {
  const client = useRealtimeClient();
  const isPaused = useValue(pausedAt) !== null;
  const [points, setPoints] = useState<readonly Point[]>([]);
  const [hasFailed, setHasFailed] = useState(false);

  useEffect(() => {
    if (isPaused) return; // when updates go on, this effect loads what was missed
    const abort = new AbortController();
    const store = client.symbol(symbol, { fields: [], maxHz: 1 });
    let renewedAt = 0;
    let newest = 0;
    let isLoading = false;
    async function load() {
      if (isLoading) return;
      isLoading = true;
      const history = await fetchHistory(symbol, "1s", abort.signal, SPAN_MS / STEP_MS, () => setHasFailed(true));
      isLoading = false;
      if (abort.signal.aborted) return;
      setHasFailed(false);
      if (!history) return;
      const past = history.times.map((time, index) => ({ time, price: history.prices[index] ?? Number.NaN }));
      setPoints((live) =>
        [...past, ...live].reduce<readonly Point[]>((line, { time, price }) => extend(line, time, price), []),
      );
    }
    void load();
    const end = store.subscribe(() => {
      const { ticker, isConnected } = store.getSnapshot();
      if (!ticker || !isConnected || performance.now() - renewedAt < RENEW_MS) return;
      renewedAt = performance.now();
      const time = ticker.receivedTime ?? ticker.aggregatedTime;
      if (newest && time - newest > GAP_MS) void load(); // the page may have slept and missed prices
      newest = time;
      setPoints((line) => extend(line, time, ticker.price));
    });
    return () => {
      abort.abort();
      end();
    };
  }, [client, symbol, isPaused]);

  return { points, hasFailed };
}
