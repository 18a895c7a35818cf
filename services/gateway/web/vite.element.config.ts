/** Builds the custom element as one classic script, beside the page: any site loads it with one tag. Runs last. */
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
