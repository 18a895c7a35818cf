/**
 * The custom element `<market-pulse symbols="BTC,ETH">`: live prices in any page, without a framework. Importing this module
 * registers the element. On a server the import does nothing.
 *
 * All attributes may change at run time:
 * - `symbols`: comma-separated symbols
 * - `gateway`: the gateway's address; by default the gateway that served this script, else the page's own origin
 * - `max-hz`: the most updates of a price per second; by default 4
 * - `compact`: one line per symbol
 * - `theme`: `light` or `dark`; by default the theme of the page around the element
 * - `scheme`: the colours of rising and falling prices, `western`, `east-asian` or `cvd` (for colour vision deficiency)
 */
import { normalizeSymbol, realtimeClient } from "./client.ts";
import { styleSheet } from "./element/styles.ts";
import { makeTile, TILE_FIELDS, type Tile } from "./element/tile.ts";

const DEFAULT_SYMBOLS = "BTC,ETH,SOL,BNB";
const AGE_EVERY_MS = 1000;

/** Return the address of the gateway that served a script, or "" if the script is not a gateway's but a page's own. */
export function gatewayOf(scriptUrl: string): string {
  return /^(https?:\/\/[^?#]+)\/market-pulse\.js([?#]|$)/.exec(scriptUrl)?.[1] ?? "";
}

/** The gateway that served this script. `currentScript` is set only while a classic script is evaluated, so read it now. */
const HOME = gatewayOf((globalThis.document?.currentScript as HTMLScriptElement | null | undefined)?.src ?? "");

/** Return a gateway's address in the client's form: without a slash at the end, and "" for the page's own origin. */
function baseUrlOf(gateway: string): string {
  const url = gateway.trim().replace(/\/+$/, "");
  return url === location.origin ? "" : url;
}

const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement); // a server has no HTMLElement

export class MarketPulseElement extends Base {
  static readonly observedAttributes = ["symbols", "gateway", "max-hz"];

  readonly #list = document.createElement("ul");
  readonly #simulated = document.createElement("p");
  readonly #tiles = new Map<string, Tile>();
  #leave: (() => void) | null = null; // ends the subscriptions; null while the element is not in a page

  constructor() {
    super();
    this.#list.setAttribute("role", "list"); // without it, Safari does not expose a list without bullets as a list
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
    leave(); // last, so that symbols that stay are not unsubscribed in between
  }

  /** Subscribe to the symbols that the attributes name, and draw them until the returned function is called. */
  #follow(): () => void {
    const client = realtimeClient(baseUrlOf(this.getAttribute("gateway") ?? HOME));
    const maxHz = Number(this.getAttribute("max-hz")) || undefined; // a text that is not a number counts as no attribute
    const asked = (this.getAttribute("symbols") ?? DEFAULT_SYMBOLS).split(",").map((text) => text.trim());
    const symbols = new Set(asked.filter(Boolean).map((text) => normalizeSymbol(text) ?? text));
    for (const symbol of this.#tiles.keys()) if (!symbols.has(symbol)) this.#tiles.delete(symbol);

    const ends: (() => void)[] = [];
    const ages: (() => void)[] = [];
    const elements: HTMLElement[] = [];
    for (const symbol of symbols) {
      const store = client.symbol(symbol, { fields: TILE_FIELDS, maxHz });
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
