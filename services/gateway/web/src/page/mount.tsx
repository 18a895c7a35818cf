/** Puts a page into its document, on the gateway that it came from. */
import { type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { realtimeClient } from "../client.ts";
import { RealtimeContext } from "../useRealtimeTicker.ts";
import "./tokens.css";
import "./base.css";
import { framed } from "./frames.ts";
import { paced } from "./pace.ts";

const EVERY_MS = 100;

export function mount(page: ReactNode) {
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <RealtimeContext value={framed(paced(realtimeClient(), EVERY_MS))}>{page}</RealtimeContext>
    </StrictMode>,
  );
}
