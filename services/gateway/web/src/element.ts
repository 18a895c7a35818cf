/**
 * `<market-pulse symbols="BTC,ETH">`: live prices in any page, without a framework. Importing this registers it; on a server
 * it does nothing.
 *
 * Attributes, all of which may change at run time: `symbols`, comma-separated; `gateway`, where it is (else the one that this
 * script was loaded from, else the page's own origin); `compact`; `theme` (light, dark; else as the page around it); `scheme`
 * (western, east-asian, cvd), the colours of up and down.
 */
import { normalizeSymbol, realtimeClient } from "./client.ts";
import { styleSheet } from "./element/styles.ts";
import { makeTile, type Tile } from "./element/tile.ts";

const DEFAULT_SYMBOLS = "BTC,ETH,SOL,BNB";
const AGE_EVERY_MS = 1000;

/** Return where the gateway is that served a script, or "" if it is not the script that gateways serve but a page's own. */
export function gatewayOf(scriptUrl: string): string {
  return /^(https?:\/\/[^?#]+)\/market-pulse\.js([?#]|$)/.exec(scriptUrl)?.[1] ?? "";
}

/** Known only while a script that is no module is evaluated for the first time. */
const HOME = gatewayOf((globalThis.document?.currentScript as HTMLScriptElement | null | undefined)?.src ?? "");

/** Return a gateway's address as the client knows it: without a slash at the end, and "" for the page's own origin. */
function baseUrlOf(gateway: string): string {
  const url = gateway.trim().replace(/\/+$/, "");
  return url === location.origin ? "" : url;
}

const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement); // there is none on a server

export class MarketPulseElement extends Base {
  static readonly observedAttributes = ["symbols", "gateway"];

  readonly #list = document.createElement("ul");
  readonly #simulated = document.createElement("p");
  readonly #tiles = new Map<string, Tile>();
  #leave: (() => void) | null = null;

  constructor() {
    super();
    this.#list.setAttribute("role", "list"); // Safari takes a list without bullets for none
    this.#list.setAttribute("aria-label", "Live prices");
    this.#list.setAttribute("part", "list");
    this.#simulated.className = "simulated";
    this.#simulated.setAttribute("part", "simulated");
    this.#simulated.textContent = "Simulated prices";
    this.#simulated.hidden = true;
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    root.append(this.#list, this.#simulated);
  }

  connectedCallback(): void {
    this.#leave = this.#follow();
  }

  disconnectedCallback(): void {
    this.#leave?.();
    this.#leave = null;
  }

  attributeChangedCallback(): void {
    if (!this.#leave) return; // not in a page yet
    const leave = this.#leave;
    this.#leave = this.#follow();
    leave(); // only now, so that what stays is not let go in between
  }

  /** Show what the attributes say, and go on until the returned function is called. */
  #follow(): () => void {
    const client = realtimeClient(baseUrlOf(this.getAttribute("gateway") ?? HOME));
    const asked = (this.getAttribute("symbols") ?? DEFAULT_SYMBOLS).split(",").map((text) => text.trim());
    const symbols = new Set(asked.filter(Boolean).map((text) => normalizeSymbol(text) ?? text));
    for (const symbol of this.#tiles.keys()) if (!symbols.has(symbol)) this.#tiles.delete(symbol);

    const ends: (() => void)[] = [];
    const ages: (() => void)[] = [];
    const elements: HTMLElement[] = [];
    for (const symbol of symbols) {
      const store = client.symbol(symbol);
      const tile = this.#tiles.get(symbol) ?? makeTile(symbol);
      this.#tiles.set(symbol, tile);
      elements.push(tile.element);
      const draw = () => tile.draw(store.getSnapshot());
      ends.push(store.subscribe(draw));
      ages.push(() => store.getSnapshot().isConnected || draw());
      draw();
    }
    this.#list.replaceChildren(...elements);

    const drawConnection = () => {
      this.#simulated.hidden = !client.connection.getSnapshot().simulated;
    };
    ends.push(client.connection.subscribe(drawConnection));
    drawConnection();

    const ageing = setInterval(() => {
      for (const age of ages) age();
    }, AGE_EVERY_MS);
    return () => {
      clearInterval(ageing);
      for (const end of ends) end();
    };
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "market-pulse": MarketPulseElement;
  }
}

if (globalThis.customElements && !customElements.get("market-pulse")) customElements.define("market-pulse", MarketPulseElement);
