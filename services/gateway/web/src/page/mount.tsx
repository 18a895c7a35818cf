/** Renders a page into its document. Its prices come from the gateway that served it. */
import { type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { realtimeClient } from "../client.ts";
import { RealtimeContext } from "../useRealtimeTicker.ts";
import "./tokens.css";
import "./base.css";
import { framed } from "./frames.ts";
import { paced } from "./pace.ts";

const EVERY_MS = 100; // prices on the page change at most ten times a second

export function mount(page: ReactNode) {
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <RealtimeContext value={framed(paced(realtimeClient(), EVERY_MS))}>{page}</RealtimeContext>
    </StrictMode>,
  );
}
