/**
 * One stream for all tabs of an origin. Whoever holds a Web Lock has the stream and passes on what it says; the others say
 * what they want. When the holder goes, the browser gives the lock to the next; a holder that was put to sleep is robbed.
 *
 * A tab whose symbols find no room in it, beside those of the holder and of older tabs, has a stream of its own.
 *
 * Where there are no locks (a page that is neither https nor localhost, an old browser), each tab has its own stream.
 */
import { openStream, since } from "./stream.ts";
import type { Feed, News } from "./types.ts";

type Said =
  | { readonly news: News }
  | { readonly tab: string; readonly wants: readonly string[] }
  | { readonly wake: boolean } // as in Feed.wake, whose argument it is
  | "who"; // who is there? asked by a new holder, and by a tab that hears nothing from the old one

const LOOK_MS = 1000;
const ASK_AFTER_MS = 5000; // live prices come each second
const ROB_AFTER_MS = 8000;
const ROB_SLEEPER_AFTER_MS = 2000; // a page that is looked at wants prices now
const SUPPLY_AFTER_MS = 20; // so that all tabs have said what they want

/** Open a stream from a gateway that this tab shares with its siblings. All that it learns goes to `tell`. */
export function shareStream(baseUrl: string, tell: (news: News) => void, apiKey?: string): Feed {
  const locks = globalThis.navigator?.locks;
  const name = ["market-pulse.v1", baseUrl, apiKey].join(" "); // with another key there is another answer
  try {
    new BroadcastChannel(name).close();
    if (!locks) throw new Error();
  } catch {
    return openStream(baseUrl, tell, apiKey); // some browsers have channels, but none for pages without cookies
  }
  const tab = crypto.randomUUID();
  let wanted: readonly string[] = [];
  let channel: BroadcastChannel | null = null; // there while this tab takes part
  let presence = new AbortController(); // ends when it does not any more
  let present = false;
  let term = new AbortController(); // ends when its turn to hold the stream, or its wait for that, does
  let stream: Feed | null = null; // there while this tab holds the lock, or has its own and takes no part
  const others = new Map<string, readonly string[]>();
  const known = new Map<string, News>(); // the newest of each kind, for who joins
  let heardAt = 0;
  let watch: ReturnType<typeof setInterval> | undefined;
  let supplying: ReturnType<typeof setTimeout> | undefined;

  const say = (said: Said) => channel?.postMessage(said);
  const sayWants = () => present && say({ tab, wants: wanted });

  /** Hold a lock, once it is free, until the signal. Only if it is stolen before that, `robbed` is called. */
  function hold(lock: string, signal: AbortSignal, held: () => void, robbed: () => void, steal = false) {
    const use = () =>
      new Promise<void>((release) => {
        if (signal.aborted) return release();
        signal.addEventListener("abort", () => release());
        held();
      });
    locks.request(lock, steal ? { steal } : { signal }, use).catch((failed) => {
      if (signal.aborted) return;
      if (failed.name === "AbortError") robbed();
      else held(); // a sandboxed frame has no locks, and no siblings either
    });
  }

  function supplySoon() {
    supplying ??= setTimeout(supply, SUPPLY_AFTER_MS);
  }

  function supply() {
    supplying = undefined;
    const all = new Set([wanted, ...others.values()].flat());
    for (const [key, { type }] of known) if ((type === "ticker" || type === "refused") && !all.has(key)) known.delete(key);
    stream?.want([...all]);
  }

  function passOn(news: News) {
    if (news.type === "ticker") known.set(news.data.symbol, news);
    else if (news.type === "refused") known.set(news.symbol, news);
    else if (news.type === "status") known.set(`status ${news.data.exchange}`, news);
    else if (news.type === "link") known.set("link", news);
    tell(news);
    if (stream) say({ news });
  }

  function hear(said: Said) {
    if (said === "who") {
      if (stream) say({ news: { type: "beat" } });
      else sayWants();
    } else if ("news" in said) {
      if (stream) return; // from a robbed one that does not know it yet
      const { news } = said;
      if (news.type === "refused" && news.error.code === "too_many_symbols" && wanted.includes(news.symbol)) {
        part();
        return open();
      }
      heardAt = Date.now();
      tell(news);
    } else if (!stream) return;
    else if ("wake" in said) stream.wake(said.wake);
    else serve(said.tab, said.wants);
  }

  function serve(other: string, wants: readonly string[]) {
    // Each tab holds a lock of its own name for as long as it takes part: to get it is to know that the tab is gone.
    const gone = () => {
      others.delete(other);
      supplySoon();
    };
    if (!others.has(other)) locks.request(`${name} ${other}`, { signal: term.signal }, gone).catch(() => {}); // our term ended
    others.set(other, wants);
    supplySoon();
    for (const news of known.values()) say({ news });
  }

  function open() {
    const mine = openStream(baseUrl, (news) => stream === mine && passOn(news), apiKey); // afterwards it has no say
    stream = mine;
    supplySoon();
  }

  function seek(steal = false) {
    term.abort();
    term = new AbortController();
    const held = () => {
      open();
      say("who");
    };
    const robbed = () => {
      resign();
      seek();
      sayWants();
    };
    hold(name, term.signal, held, robbed, steal);
  }

  /** Close the stream without a word to the others: who takes over tells them what is. */
  function resign() {
    clearTimeout(supplying);
    supplying = undefined;
    if (!stream) return;
    const closing = stream;
    stream = null;
    closing.want([]);
    tell({ type: "link", up: false, simulated: false, error: null }); // to this tab alone, until it hears the next holder
    others.clear();
    known.clear();
  }

  function join() {
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }: MessageEvent<Said>) => hear(data);
    presence = new AbortController();
    const appear = () => {
      present = true;
      sayWants();
    };
    hold(`${name} ${tab}`, presence.signal, appear, () => {});
    seek();
    const patienceMs = ROB_AFTER_MS + 2000 * Math.random(); // so that not all rob at once
    let lookedAt = Date.now();
    heardAt = lookedAt;
    watch = setInterval(() => {
      if (stream || since(lookedAt) > 2 * LOOK_MS) heardAt = Date.now(); // having slept oneself says nothing about the other
      lookedAt = Date.now();
      const silentMs = since(heardAt);
      if (silentMs > patienceMs) {
        heardAt = Date.now();
        seek(true);
      } else if (silentMs > ASK_AFTER_MS) say("who");
    }, LOOK_MS);
  }

  function part() {
    clearInterval(watch);
    resign();
    term.abort();
    presence.abort();
    present = false;
    channel?.close();
    channel = null;
  }

  return {
    want(symbols) {
      wanted = symbols;
      if (!symbols.length) return part();
      if (stream) supplySoon();
      else if (!channel) join();
      else sayWants();
    },
    wake(anew) {
      if (stream) return stream.wake(anew);
      heardAt = Math.min(heardAt, Date.now() - ROB_AFTER_MS + ROB_SLEEPER_AFTER_MS);
      say({ wake: anew });
      say("who");
    },
  };
}
