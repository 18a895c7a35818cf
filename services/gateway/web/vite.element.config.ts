/**
 * Builds the custom element as one classic script, which any site can load with one tag. It must run after the page's build,
 * which empties the output directory.
 */
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../src/gateway/static",
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: "src/element.ts", formats: ["iife"], name: "MarketPulse", fileName: () => "market-pulse.js" },
  },
});
