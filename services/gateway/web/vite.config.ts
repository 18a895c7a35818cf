/** Builds the page, its embeddable sibling and the custom element's script into the gateway's package. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const GATEWAY = process.env.GATEWAY ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": GATEWAY, "/docs": GATEWAY } },
  build: {
    outDir: "../src/gateway/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    rolldownOptions: { input: ["index.html", "embed.html"] },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"], restoreMocks: true },
});
