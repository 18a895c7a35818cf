/** The visitor's settings for the whole page. Theme and scheme are set on <html>, by theme.js before the first paint. */
import { createValue, recall, remember, rememberedChoice } from "./value.ts";

export const THEMES = ["system", "light", "dark"] as const;
export const SCHEMES = ["western", "east-asian", "cvd"] as const;
export const SORTS = ["own", "change", "name"] as const;
export type Theme = (typeof THEMES)[number];
export type Scheme = (typeof SCHEMES)[number];
export type Sort = (typeof SORTS)[number];

const { dataset } = document.documentElement;

export const theme = createValue<Theme>(THEMES.find((one) => one === dataset.theme) ?? "system");
theme.subscribe(() => {
  const chosen = theme.get();
  if (chosen === "system") delete dataset.theme;
  else dataset.theme = chosen;
  remember("theme", chosen === "system" ? null : chosen);
});

export const scheme = createValue<Scheme>(SCHEMES.find((one) => one === dataset.scheme) ?? "western");
scheme.subscribe(() => {
  dataset.scheme = scheme.get();
  remember("scheme", scheme.get());
});

export const sort = rememberedChoice<Sort>("sort", SORTS);

/** Whether the page periodically announces a summary of the prices to screen readers. */
export const announcing = createValue(recall("announce") === "on");
announcing.subscribe(() => remember("announce", announcing.get() ? "on" : null));

/** When the visitor paused updates (`Date.now()`), or null while they go on. Not remembered: a page always starts live. */
export const pausedAt = createValue<number | null>(null);
