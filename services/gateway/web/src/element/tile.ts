/** One symbol's tile. Its elements are made once, and each state is drawn into them. All text is set as text, never as HTML. */
import { normalizeSymbol, tickerAge } from "../client.ts";
import { direction, firstDifference, formatAgo, formatPercent, formatPrice, type Part, splitParts } from "../format.ts";
import { suggestionsFor } from "../suggestions.ts";
import { type Trust, trustOf } from "../trust.ts";
import type { Quality, Status, SymbolState } from "../types.ts";

/** The members of a ticker that a tile draws. */
export const TILE_FIELDS = ["dp", "changePercent24h"] as const;
type TileState = SymbolState<(typeof TILE_FIELDS)[number]>;

/** The shapes of the dot, as SVG paths in a square of 12 by 12. Each state differs in shape, not only in colour. */
const SHAPES = {
  full: "M6 0a6 6 0 1 0 0 12A6 6 0 1 0 6 0z",
  half: "M6 0a6 6 0 1 0 0 12A6 6 0 1 0 6 0zm0 2a4 4 0 0 1 0 8z",
  hollow: "M6 0a6 6 0 1 0 0 12A6 6 0 1 0 6 0zm0 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8z",
  cross: "M1.5 0L6 4.5L10.5 0L12 1.5L7.5 6L12 10.5L10.5 12L6 7.5L1.5 12L0 10.5L4.5 6L0 1.5z",
} as const;

const SHAPE_OF: Record<Trust, keyof typeof SHAPES> = {
  live: "full",
  degraded: "half",
  stale: "hollow",
  waiting: "hollow",
  offline: "cross",
};

interface Standing {
  readonly shape: keyof typeof SHAPES;
  /** A short text for the tile; empty if all is well. */
  readonly note: string;
  /** The full text, for screen readers and the tile's title. */
  readonly words: string;
}

/** The texts for live prices that are degraded for another reason than their age. */
const AMISS: Partial<Record<Quality, Omit<Standing, "shape">>> = {
  single: { note: "1 source", words: "live, from one exchange only" },
  disputed: { note: "disputed", words: "live, but the exchanges disagree" },
};
const WORDS: Record<Status, string> = {
  idle: "not connected",
  connecting: "connecting",
  live: "live",
  stale: "stale",
  reconnecting: "reconnecting",
  offline: "offline",
};
/** The texts, by error code, for a gateway that answers but does not stream this symbol, or anything, for now. */
const REFUSED: Readonly<Record<string, string>> = { no_room: "no room", busy: "busy", rate_limited: "too many streams" };
const FLASH_EVERY_MS = 500; // at most twice a second: more than three flashes a second can harm (WCAG 2.3.1)

function standing(state: TileState): Standing {
  const { status, ticker, error } = state;
  const trust = trustOf(state);
  const shape = SHAPE_OF[trust];
  if (trust === "live") return { shape, note: "", words: "live" };
  if (error?.code === "unknown_symbol") return { shape, note: "", words: "not known" };
  const refused = REFUSED[error?.code ?? ""];
  if (!ticker) {
    const words = refused ?? (status === "stale" ? "no price" : WORDS[status]);
    return { shape, note: words, words };
  }
  const old = formatAgo(tickerAge(state), "old");
  if (trust === "degraded") return { shape, ...(AMISS[ticker.quality] ?? { note: old, words: `live, but ${old}` }) };
  return { shape, note: error?.code === "no_room" ? "no room" : old, words: `${refused ?? WORDS[status]}, ${old}` };
}

/** Return the error message to show instead of a price, or "" if there is a price or no error. */
function trouble(symbol: string, { ticker, error }: TileState): string {
  if (ticker || !error) return "";
  const similar = suggestionsFor(symbol, error).slice(0, 2).join(" or ");
  return similar ? `${error.message}; did you mean ${similar}?` : error.message;
}

function make(tag: string, name: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  return element;
}

function makeDot(): { dot: SVGElement; path: SVGElement } {
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  dot.setAttribute("viewBox", "0 0 12 12");
  dot.setAttribute("class", "dot");
  dot.setAttribute("aria-hidden", "true");
  dot.append(path);
  return { dot, path };
}

function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function writeParts(element: HTMLElement, parts: readonly Part[]): void {
  const nodes = parts.map(({ text, sub }) => {
    if (!sub) return text;
    const count = document.createElement("sub");
    count.textContent = text;
    return count;
  });
  element.replaceChildren(...nodes);
}

export interface Tile {
  readonly element: HTMLElement;
  draw(state: TileState): void;
}

export function makeTile(symbol: string): Tile {
  const element = document.createElement("li");
  const name = make("span", "symbol");
  const base = document.createElement("b");
  const quote = make("span", "quote");
  const note = make("span", "note");
  const price = make("span", "price");
  const digits = make("span", "digits");
  const stayed = document.createElement("span");
  const spokenPrice = make("span", "spoken");
  const change = make("span", "change");
  const glyph = make("span", "glyph");
  const percent = document.createElement("span");
  const error = make("span", "error");
  const words = make("span", "spoken");
  const { dot, path } = makeDot();
  let changed = document.createElement("span");
  let before = { price: 0, plain: "" };
  let flashFrom = Number.POSITIVE_INFINITY; // the index of the first character that the last flash marked
  let flashedAt = Number.NEGATIVE_INFINITY;

  for (const silent of [digits, glyph, note]) silent.setAttribute("aria-hidden", "true");
  for (const part of [name, note, price, change, error]) part.setAttribute("part", part.className);
  dot.setAttribute("part", "dot");
  element.setAttribute("part", "tile");
  const [baseName] = (normalizeSymbol(symbol) ?? symbol).split("-");
  base.textContent = baseName ?? "";
  name.append(base);
  digits.append(stayed, changed);
  price.append(digits, spokenPrice, quote);
  change.append(glyph, percent);
  element.append(dot, name, price, change, error, words, note);

  /** Highlight the price from its first changed digit on, unless the last highlight is too recent. */
  function flash(now: number, plain: string) {
    const at = performance.now();
    if (!before.plain || plain === before.plain || at - flashedAt < FLASH_EVERY_MS) return;
    flashedAt = at;
    flashFrom = firstDifference(before.plain, plain);
    const fresh = make("span", `changed ${now > before.price ? "up" : "down"}`); // a new element restarts the animation
    changed.replaceWith(fresh);
    changed = fresh;
  }

  function drawPrice({ ticker, isConnected }: TileState) {
    const text = formatPrice(ticker?.price ?? null, ticker?.dp ?? 0);
    if (ticker && isConnected) flash(ticker.price, text.plain);
    before = ticker ? { price: ticker.price, plain: text.plain } : { price: 0, plain: "" };
    const isCounted = text.plain !== text.full;
    price.classList.toggle("counted", isCounted);
    price.title = isCounted ? text.full : "";
    const [same, rest] = splitParts(text.parts, flashFrom);
    writeParts(stayed, same);
    writeParts(changed, rest);
    write(spokenPrice, text.full);
    write(quote, ticker ? ` ${ticker.symbol.split("-")[1]}` : "");
  }

  return {
    element,
    draw(state) {
      const { shape, note: short, words: long } = standing(state);
      const points = direction(state.ticker?.changePercent24h ?? null);
      const message = trouble(symbol, state);
      element.dataset.shape = shape;
      element.dataset.direction = points;
      element.toggleAttribute("data-live", state.isConnected);
      element.title = state.error && state.ticker ? `${long}: ${state.error.message}` : long;
      path.setAttribute("d", SHAPES[shape]);
      write(note, short);
      write(words, long);
      price.hidden = message !== "";
      change.hidden = !state.ticker;
      error.hidden = message === "";
      write(error, message);
      drawPrice(state);
      write(glyph, { up: "▲ ", down: "▼ ", flat: "" }[points]);
      write(percent, formatPercent(state.ticker?.changePercent24h ?? null));
    },
  };
}
