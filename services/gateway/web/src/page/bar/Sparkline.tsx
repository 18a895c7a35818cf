/** Ten minutes of a price in a line without axes. */
import { memo } from "react";
import { formatPrice } from "../../format.ts";
import "./Sparkline.css";
import { linePath } from "./sparkline.ts";
import { useSparkline } from "./useSparkline.ts";

const [WIDTH, HEIGHT] = [120, 32];

export const Sparkline = memo(function Sparkline({ symbol, dp }: { symbol: string; dp: number }) {
  const points = useSparkline(symbol);
  const prices = points.map((point) => point.price);
  const [low, high] = [Math.min(...prices), Math.max(...prices)].map((price) => formatPrice(price, dp).full);
  return (
    <svg
      className="sparkline"
      viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={points.length > 1 ? `Last 10 minutes: between ${low} and ${high}` : "Last 10 minutes: nothing known yet"}
    >
      <path d={linePath(points, WIDTH, HEIGHT)} />
    </svg>
  );
});
