// @vitest-environment node
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";

test("client and hooks come to no more than 5 kB on the wire", async () => {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      lib: { entry: "src/useRealtimeTicker.ts", formats: ["iife"], name: "hooks" }, // Vite leaves modules their white space
      rolldownOptions: { external: ["react"], output: { globals: { react: "React" } } },
    },
  });
  const outputs = [built].flat().flatMap((bundle) => ("output" in bundle ? bundle.output : []));
  const code = outputs.map((output) => ("code" in output ? output.code : "")).join("");
  expect(code).toContain("api/realtime"); // the client is in it
  expect(gzipSync(code).length).toBeLessThanOrEqual(5000);
});
