/** The page at `/embed?symbols=BTC,ETH&quote=USD&compact=1`: only the bar, for a frame on another page. */
import { MarketPulseTicker } from "../MarketPulseTicker.tsx";
import { mount } from "./mount.tsx";
import { quoteInSearch, symbolsInSearch } from "./symbolSet.ts";

const isCompact = new URLSearchParams(location.search).get("compact") === "1";
const symbols = symbolsInSearch(location.search);

mount(
  <main>
    <h1 className="visually-hidden">Market Pulse</h1>
    <MarketPulseTicker
      {...(symbols && { symbols })}
      quote={quoteInSearch(location.search)}
      isCompact={isCompact}
      target="_blank"
    />
  </main>,
);
