/** The custom element's style sheet. A page adapts it with `theme`, `scheme`, `compact`, custom properties and `::part`. */

const CSS = `
:host {
  --text: var(--market-pulse-text, light-dark(#16191d, #e9ecef));
  --muted: var(--market-pulse-muted, light-dark(#5c6570, #9aa4af));
  --surface: var(--market-pulse-surface, light-dark(#fff, #15181d));
  --line: var(--market-pulse-line, light-dark(#dfe3e8, #2b3138));
  --up: var(--market-pulse-up, light-dark(#087f3e, #3fbf6f));
  --down: var(--market-pulse-down, light-dark(#c62828, #ff6b62));
  --flat: var(--market-pulse-flat, var(--muted));
  --live: light-dark(#087f3e, #3fbf6f);
  --degraded: light-dark(#8a5a00, #e0a93b);
  --offline: light-dark(#c62828, #ff6b62);
  --radius: var(--market-pulse-radius, 0.625em);
  display: block;
  color: var(--text);
  line-height: 1.3;
  text-align: start;
  text-transform: none;
  letter-spacing: normal;
  white-space: normal;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([scheme="east-asian"]) {
  --up: var(--market-pulse-up, light-dark(#c62828, #ff6b62));
  --down: var(--market-pulse-down, light-dark(#087f3e, #3fbf6f));
}
:host([scheme="cvd"]) {
  --up: var(--market-pulse-up, light-dark(#0072b2, #56b4e9));
  --down: var(--market-pulse-down, light-dark(#b85000, #ff8a3d));
}

ul {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 8.5em), 1fr));
  gap: 0.5em;
  margin: 0;
  padding: 0;
  list-style: none;
}
li {
  display: grid;
  grid-template: "symbol symbol dot" auto "price price price" auto "change note note" minmax(1.0625em, auto) / 1fr auto auto;
  align-content: start;
  align-items: baseline;
  column-gap: 0.5em;
  position: relative;
  min-width: 0;
  padding: 0.5em 0.625em;
  border: 1px solid var(--line);
  border-radius: var(--radius);
  background: var(--surface);
  font-variant-numeric: tabular-nums;
}
.symbol { grid-area: symbol; font-size: 0.8125em; color: var(--muted); overflow-wrap: anywhere; }
.symbol b { font-weight: 600; color: var(--text); }
.dot { grid-area: dot; width: 0.5625em; height: 0.5625em; overflow: visible; fill: currentColor; color: var(--muted); }
.price { grid-area: price; min-width: 8ch; margin-block: 0.125em; font-size: 1.125em; font-weight: 600; overflow-wrap: anywhere; }
.quote { display: inline-block; white-space: pre; font-size: 0.75em; font-weight: 400; color: var(--muted); } /* wraps only as a whole */
.change { grid-area: change; min-width: 8ch; font-size: 0.8125em; white-space: nowrap; color: var(--flat); }
.note { grid-area: note; font-size: 0.75em; white-space: nowrap; color: var(--muted); }
.error { grid-area: price; margin-block: 0.25em; font-size: 0.8125em; color: var(--muted); overflow-wrap: anywhere; }
sub { font-size: 0.7em; line-height: 0; vertical-align: baseline; position: relative; top: 0.3em; }

li[data-shape="full"] .dot { color: var(--live); }
li[data-shape="half"] .dot { color: var(--degraded); }
li[data-shape="cross"] .dot { color: var(--offline); }
li:not([data-live]) :is(.price, .change) { color: var(--muted); }
li[data-live][data-direction="up"] .change { color: var(--up); }
li[data-live][data-direction="down"] .change { color: var(--down); }
.glyph { font-size: 0.75em; }

.changed { border-radius: 0.15em; animation: changed 0.2s steps(1); }
.changed.up { --tint: var(--up); }
.changed.down { --tint: var(--down); }
@keyframes changed {
  from { background: color-mix(in srgb, var(--tint) 30%, transparent); }
}
@media (prefers-reduced-motion: reduce) {
  .changed { animation: none; }
}

.simulated {
  width: fit-content;
  margin: 0.5em 0 0;
  padding: 0.125em 0.5em;
  border: 1px dashed var(--degraded);
  border-radius: var(--radius);
  font-size: 0.75em;
  color: var(--degraded);
  background: var(--surface);
}

/* Compact: one line for each symbol, in as many columns as fit. */
:host([compact]) ul {
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17em), 1fr));
  gap: 0;
  padding: 0.25em 0;
  border: 1px solid var(--line);
  border-radius: var(--radius);
  background: var(--surface);
  font-size: 0.8125em;
}
:host([compact]) li { display: flex; flex-wrap: wrap; padding: 0.1875em 0.75em; border: 0; background: none; }
:host([compact]) .dot { order: -1; flex: none; }
:host([compact]) :is(.symbol, .price, .change, .note, .error) { margin: 0; font-size: 1em; }
:host([compact]) .symbol { flex: 1000 0 auto; }
:host([compact]) .price { text-align: end; }
:host([compact]) :is(.change, .note) { flex: 1 0 9ch; text-align: end; } /* stays at the line's end when it wraps */
:host([compact]) .error { flex: 1 1 12em; }
:host([compact]) :is(li[data-live] .note, li:not([data-live]) .change) { display: none; }

[hidden] { display: none !important; }
.spoken {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
/* A copied price must be a number. Where the drawn text counts zeros, the text that writes them out is selected instead. */
.spoken, .quote, .counted .digits { user-select: none; }
.counted .spoken { user-select: text; }
`;

let sheet: CSSStyleSheet | undefined;

/** Return the style sheet that all elements share. A constructed sheet needs no exception in a Content-Security-Policy. */
export function styleSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
