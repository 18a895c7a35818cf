/** Builds the page and the embeddable bar (`embed.html`) into the gateway's package. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const GATEWAY = process.env.GATEWAY ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": GATEWAY, "/docs": GATEWAY, "/openapi.json": GATEWAY } },
  build: {
    outDir: "../src/gateway/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" }, // lists the licences of all bundled packages; the gateway serves it beside the page
    rolldownOptions: { input: ["index.html", "embed.html"] },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"], restoreMocks: true },
});
