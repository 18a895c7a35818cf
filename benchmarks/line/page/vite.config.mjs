// Builds hook.js with the packages and the sources of the gateway's web folder: WEB is that folder, OUT is where the script goes.
const { WEB, OUT } = process.env;
const packages = ["react-dom/client", "react-dom", "react/jsx-runtime", "react"];

export default {
  root: WEB,
  configFile: false,
  publicDir: false,
  resolve: {
    alias: [
      { find: /^market-pulse$/, replacement: `${WEB}/src/client.ts` },
      { find: /^market-pulse\/react$/, replacement: `${WEB}/src/useRealtimeTicker.ts` },
      ...packages.map((name) => ({ find: new RegExp(`^${name}$`), replacement: `${WEB}/node_modules/${name}` })),
    ],
  },
  define: { "process.env.NODE_ENV": '"production"' },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    lib: { entry: `${import.meta.dirname}/hook.js`, formats: ["iife"], name: "hook", fileName: () => "hook.js" },
  },
};
