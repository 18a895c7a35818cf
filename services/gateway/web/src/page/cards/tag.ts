/**
 * The tag on a chart's axis that has the newest price. It is an element of its own above the chart, so that it shows each price
 * without a redrawing of the lines.
 */
import type { IChartApi, ISeriesApi, Time } from "lightweight-charts";

export interface Tag {
  /** Show a price, or hide the tag for null. */
  set(price: number | null): void;
}

/** Add a tag to a chart in an element. It stands at the height that a price has on the scale of `line`. */
export function addTag(
  element: HTMLElement,
  chart: IChartApi,
  line: ISeriesApi<"Line", Time>,
  format: (price: number) => string,
): Tag {
  const tag = document.createElement("span");
  tag.className = "chart-tag";
  tag.hidden = true;
  element.append(tag);
  let price: number | null = null;

  function place() {
    const y = price === null ? null : line.priceToCoordinate(price);
    tag.hidden = y === null;
    if (y === null) return;
    const within = Math.max(0, Math.min(y, chart.paneSize().height)); // the scale may be drawn for the price only later
    tag.style.translate = `0 ${within.toFixed(1)}px`;
    tag.style.minInlineSize = `${chart.priceScale("right").width()}px`;
  }

  line.attachPrimitive({ updateAllViews: place }); // called whenever the scale has changed
  return {
    set(next) {
      price = next;
      const text = next === null ? "" : format(next);
      if (tag.textContent !== text) tag.textContent = text;
      place();
    },
  };
}
