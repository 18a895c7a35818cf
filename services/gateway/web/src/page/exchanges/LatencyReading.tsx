/** "12 ms": how long a price takes from the exchange to this page. A popover shows each hop. */
import { Popover } from "../parts/Popover.tsx";
import { useLatency } from "./useLatency.ts";

export function LatencyReading({ symbols }: { symbols: readonly string[] }) {
  const measured = useLatency(symbols);
  const latency = measured?.latency;
  return (
    <Popover
      isHint
      className="exchange"
      label={
        <>
          <span className="label">Exchange to browser</span> <span className="latency">{milliseconds(latency?.total)}</span>
        </>
      }
    >
      <dl className="hops">
        <dt>Exchange to ingest</dt>
        <dd>{milliseconds(latency?.exchangeToIngest)}</dd>
        <dt>Ingest to aggregator</dt>
        <dd>{milliseconds(latency?.ingestToAggregator)}</dd>
        <dt>Aggregator to browser</dt>
        <dd>{milliseconds(latency?.aggregatorToBrowser)}</dd>
      </dl>
      <p className="label">
        {measured
          ? `Medians of the last ${measured.latency.samples} prices. This browser's clock is ${offset(measured.offsetMs)} the gateway's, give or take ${milliseconds(measured.errorMs)}; the figures allow for that. The exchanges' clocks are assumed to be right.`
          : "Not known: no price with the exchange's own time has arrived yet, or the gateway's clock could not be read."}
      </p>
    </Popover>
  );
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? "–" : `${Math.round(value) || 0} ms`;
}

function offset(offsetMs: number): string {
  const size = milliseconds(Math.abs(offsetMs));
  return offsetMs > 0 ? `${size} behind` : `${size} ahead of`;
}
