// A page of one's own with the React hook: two symbols, drawn as in docs/browser.md.
import { realtimeClient } from "market-pulse";
import { RealtimeContext, useRealtimeTicker } from "market-pulse/react";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

function Price({ symbol }) {
  const { ticker, status, error } = useRealtimeTicker({ symbol });
  if (error && !ticker) return createElement("p", null, `${symbol}: ${error.message}`);
  if (!ticker) return createElement("p", null, `${symbol}: ${status}`);
  const text = `${symbol}: ${ticker.price.toFixed(ticker.dp)} (${ticker.changePercent24h.toFixed(2)}%) ${status}`;
  return createElement("p", { style: { opacity: status === "live" ? 1 : 0.5 } }, text);
}

const { gateway, symbols } = document.getElementById("prices").dataset;
createRoot(document.getElementById("prices")).render(
  createElement(
    RealtimeContext,
    { value: realtimeClient(gateway) },
    symbols.split(",").map((symbol) => createElement(Price, { key: symbol, symbol })),
  ),
);
