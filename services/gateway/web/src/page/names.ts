/** The names of coins and exchanges. A coin without an entry here is shown by its symbol alone. */

const COINS: Readonly<Record<string, string>> = {
  AAVE: "Aave",
  ADA: "Cardano",
  ALGO: "Algorand",
  APT: "Aptos",
  ARB: "Arbitrum",
  ATOM: "Cosmos",
  AVAX: "Avalanche",
  BCH: "Bitcoin Cash",
  BNB: "BNB",
  BONK: "Bonk",
  BTC: "Bitcoin",
  DOGE: "Dogecoin",
  DOT: "Polkadot",
  ETC: "Ethereum Classic",
  ETH: "Ethereum",
  FIL: "Filecoin",
  HBAR: "Hedera",
  ICP: "Internet Computer",
  INJ: "Injective",
  LINK: "Chainlink",
  LTC: "Litecoin",
  NEAR: "Near",
  OP: "Optimism",
  PEPE: "Pepe",
  POL: "Polygon",
  RENDER: "Render",
  SHIB: "Shiba Inu",
  SOL: "Solana",
  SUI: "Sui",
  TIA: "Celestia",
  TON: "Toncoin",
  TRX: "Tron",
  UNI: "Uniswap",
  USDC: "USD Coin",
  XLM: "Stellar",
  XMR: "Monero",
  XRP: "XRP",
};

/** The names of exchanges that differ from their identifier with a capital letter first. */
const EXCHANGES: Readonly<Record<string, string>> = { cryptocom: "Crypto.com", okx: "OKX" };

export interface SymbolName {
  readonly base: string;
  /** Empty if the symbol has none: the gateway decides. */
  readonly quote: string;
  /** The coin's name, or null if it has no entry above. */
  readonly coin: string | null;
}

/** Split a symbol and name its coin: `BTC-USDT` is BTC, priced in USDT, named Bitcoin. */
export function symbolName(symbol: string): SymbolName {
  const [base = symbol, quote = ""] = symbol.split("-");
  return { base, quote, coin: COINS[base] ?? null };
}

/** Return the shortest text that stands for a symbol where `usual` is the quote of symbols without one. */
export function shortSymbol(symbol: string, usual: string | null): string {
  const { base, quote } = symbolName(symbol);
  return quote && quote === usual ? base : symbol;
}

export function exchangeName(exchange: string): string {
  return EXCHANGES[exchange] ?? exchange.charAt(0).toUpperCase() + exchange.slice(1);
}
