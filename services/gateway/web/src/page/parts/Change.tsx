/** How a price moved in 24 hours: a triangle, a sign and a colour, of which any one is enough. */
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
