/** A price's change in 24 hours. Triangle, sign and colour each show the direction, so any one of them is enough. */
import { direction, formatPercent } from "../../format.ts";
import "./Change.css";

const TRIANGLES = { up: "▲", down: "▼", flat: "" };

export function Change({ percent, isOld = false }: { percent: number | null; isOld?: boolean }) {
  const to = direction(percent);
  return (
    <span className="change" data-direction={isOld ? "flat" : to}>
      <span className="change-triangle" aria-hidden="true">
        {TRIANGLES[to]}
      </span>
      {formatPercent(percent)}
    </span>
  );
}
