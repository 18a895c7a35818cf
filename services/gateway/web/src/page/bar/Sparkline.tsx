/** A line without axes: a symbol's prices of the last ten minutes. */
import { memo } from "react";
import { formatPrice } from "../../format.ts";
import "./Sparkline.css";
import { linePath } from "./sparkline.ts";
import { useSparkline } from "./useSparkline.ts";

const [WIDTH, HEIGHT] = [120, 32];

export const Sparkline = memo(function Sparkline({ symbol, dp }: { symbol: string; dp: number }) {
  const { points, hasFailed } = useSparkline(symbol);
  const prices = points.map((point) => point.price);
  const [low, high] = [Math.min(...prices), Math.max(...prices)].map((price) => formatPrice(price, dp).full);
  return (
    <svg
      className="sparkline"
      viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={labelOf(points.length > 1 ? `between ${low} and ${high}` : null, hasFailed)}
    >
      <path d={linePath(points, WIDTH, HEIGHT)} />
    </svg>
  );
});

function labelOf(range: string | null, hasFailed: boolean): string {
  const words = range ?? "no prices yet";
  return hasFailed ? `Since this page was opened: ${words}. Earlier prices could not be loaded` : `Last 10 minutes: ${words}`;
}
