/** Measures the prices' latency while a component shows it. */
import { useEffect, useState } from "react";
import { useRealtimeClient } from "../../useRealtimeTicker.ts";
import { pausedAt } from "../settings.ts";
import { simulatedByStatus } from "../simulated.ts";
import { useValue } from "../value.ts";
import { type ClockReading, clockOffset, type Latency, LatencyMeter } from "./latency.ts";

const SHOW_MS = 2000;
const CLOCK_MS = 60_000;
const FIRST_CLOCKS_MS = 1500; // the first readings follow soon, since the very first is slow: it opens a connection
const READINGS = 5;
const ANSWER_WITHIN_MS = 10_000;

export interface Measured {
  readonly latency: Latency;
  readonly offsetMs: number;
  readonly errorMs: number;
}

/** Return the latency of these symbols' prices, or null while it is not known. */
export function useLatency(symbols: readonly string[]): Measured | null {
  const client = useRealtimeClient();
  const isPaused = useValue(pausedAt) !== null;
  const [measured, setMeasured] = useState<Measured | null>(null);
  useEffect(() => {
    if (isPaused) return;
    const meter = new LatencyMeter();
    const stopReading = readClock((readings) => {
      clock = clockOffset(readings);
    });
    let clock: ReturnType<typeof clockOffset> = null;
    const ends = symbols.map((symbol) => {
      const store = client.symbol(symbol, { fields: ["exchangeTime"] });
      return store.subscribe(() => {
        const { ticker, heardAt, isConnected } = store.getSnapshot();
        if (ticker && heardAt !== null && isConnected) meter.take(ticker, heardAt);
      });
    });
    const timer = setInterval(() => {
      const latency = clock && meter.read(clock.offsetMs, Date.now());
      setMeasured(clock && latency && { latency, ...clock });
    }, SHOW_MS);
    return () => {
      clearInterval(timer);
      stopReading();
      for (const end of ends) end();
    };
  }, [client, symbols, isPaused]);
  return measured;
}

/** Read the gateway's clock periodically, and call `tell` with the newest readings, until the returned function is called. */
function readClock(tell: (readings: readonly ClockReading[]) => void): () => void {
  let readings: readonly ClockReading[] = [];
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  async function read() {
    asked += 1;
    const sentAt = Date.now();
    try {
      const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
      const response = await fetch("/api/status", { cache: "no-store", signal });
      const heardAt = Date.now();
      const { gateway, simulated } = await response.json();
      const gatewayTime: unknown = gateway?.time;
      if (typeof simulated === "boolean") simulatedByStatus.set(simulated);
      if (typeof gatewayTime === "number") readings = [...readings, { sentAt, heardAt, gatewayTime }].slice(-READINGS);
      tell(readings);
    } catch {
      // The stream reports that the gateway is away. The clock readings so far are kept.
    }
    if (!isOver) timer = setTimeout(read, asked < READINGS ? FIRST_CLOCKS_MS : CLOCK_MS);
  }
  void read();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
