/** Mounts the page. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { MarketPulseTicker } from "../MarketPulseTicker.tsx";
import "./tokens.css";
import "./base.css";

const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <MarketPulseTicker />
    </StrictMode>,
  );
