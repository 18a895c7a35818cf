/** The mark that shows how far to trust something. Each state has its own shape, so the mark is readable without colour. */
import "./StateMark.css";
import type { Trust } from "../../trust.ts";

export type MarkState = Trust | "paused";

interface Props {
  readonly state: MarkState;
  /** Whether the mark pulses while its state is `live`. */
  readonly isPulsing?: boolean;
}

export function StateMark({ state, isPulsing = false }: Props) {
  return (
    <span className="state-mark" data-state={state} data-pulsing={isPulsing || undefined}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <Shape state={state} />
      </svg>
    </span>
  );
}

function Shape({ state }: { state: MarkState }) {
  switch (state) {
    case "live":
      return <circle cx="6" cy="6" r="4" fill="currentColor" />;
    case "degraded":
      return (
        <>
          <circle cx="6" cy="6" r="3.75" />
          <path d="M6 2.25a3.75 3.75 0 0 0 0 7.5z" fill="currentColor" />
        </>
      );
    case "stale":
      return <circle cx="6" cy="6" r="3.75" />;
    case "offline":
      return <path d="m2.5 2.5 7 7m0-7-7 7" />;
    case "paused":
      return <path d="M4 2.5v7M8 2.5v7" />;
    case "waiting":
      return <circle cx="6" cy="6" r="3.75" strokeDasharray="2 2" />;
  }
}
