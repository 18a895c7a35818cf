/** Renders a page into its document. Its prices come from the gateway that served it. */
import { type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { realtimeClient } from "../client.ts";
import { RealtimeContext } from "../useRealtimeTicker.ts";
import "./tokens.css";
import "./base.css";
import { pausable } from "./pause.ts";

export function mount(page: ReactNode) {
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <RealtimeContext value={pausable(realtimeClient())}>{page}</RealtimeContext>
    </StrictMode>,
  );
}
