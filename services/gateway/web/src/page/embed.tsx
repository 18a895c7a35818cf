/** Mounts the bar alone, for a frame on another page: `/embed?symbols=BTC,ETH&compact=1`. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MarketPulseTicker } from "../MarketPulseTicker.tsx";
import "./tokens.css";
import "./base.css";
import { symbolsInSearch } from "./symbolSet.ts";

const query = new URLSearchParams(location.search);
const symbols = symbolsInSearch(location.search);
const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <main>
        <h1 className="visually-hidden">Market Pulse</h1>
        <MarketPulseTicker {...(symbols && { symbols })} isCompact={query.get("compact") === "1"} target="_blank" />
      </main>
    </StrictMode>,
  );
