/**
 * One stream for all tabs of an origin. Whoever holds a Web Lock has the stream and passes on what it says; the others say
 * what they want. When the holder goes, the browser gives the lock to the next; a holder that was put to sleep is robbed.
 *
 * A tab whose symbols find no room in it, beside those of the holder and of older tabs, has a stream of its own.
 *
 * Where there are no locks (a page that is neither https nor localhost, an old browser), each tab has its own stream.
 */
import { openStream, since } from "./stream.ts";
import type { Feed, News, RealtimeClientOptions, Tell } from "./types.ts";

type Said =
  | News
  | readonly [type: "wants", tab: string, symbols: readonly string[]]
  | readonly [type: "wake", anew: boolean] // as in Feed.wake, whose argument it is
  | readonly [type: "who"]; // who is there? asked by a new holder, and by a tab that hears nothing from the old one

const ASK_AFTER_MS = 5000; // live prices come each second
const ROB_AFTER_MS = 8000;
const LOOKED_AT_MS = 6000; // off that patience: a page that is looked at wants prices now
const ASLEEP_MS = 2000;
const SUPPLY_AFTER_MS = 20; // so that all tabs have said what they want

/** Open a stream from a gateway that this tab shares with its siblings. All that it learns goes to `tell`. */
export function shareStream(options: RealtimeClientOptions, tell: Tell): Feed {
  const locks = globalThis.navigator?.locks;
  const name = ["market-pulse.v2", options.baseUrl, options.apiKey].join(" "); // with another key there is another answer
  try {
    new BroadcastChannel(name).close();
    if (!locks) throw new Error();
  } catch {
    return openStream(options, tell); // some browsers have channels, but none for pages without cookies
  }
  const tab = crypto.randomUUID();
  let wanted: readonly string[] = []; // this tab's own symbols
  let channel: BroadcastChannel | null = null; // there while this tab takes part
  let presence = new AbortController(); // ends when it does not any more
  let isPresent = false; // it holds the lock of its own name, by which others know when it is gone
  let term = new AbortController(); // ends when its turn to hold the stream, or its wait for that, does
  const stream = openStream(options, (...news) => holds && passOn(news)); // one that has lost the lock has no say
  let holds = false; // while this tab holds the lock, or takes no part and has the stream for itself
  const patienceMs = ROB_AFTER_MS + 2000 * Math.random(); // so that not all rob at once
  let robberies = 0; // since another tab was last heard
  const others = new Map<string, readonly string[]>(); // the symbols of each other tab, while this one holds the stream
  const known = new Map<string, News>(); // the newest of each kind, for tabs that join, in the order in which it came
  let heardAt = 0; // when the holder last said anything
  let lookedAt = 0; // when this tab last looked; it was asleep if that is long ago
  let supplying: ReturnType<typeof setTimeout> | undefined; // until the stream is told the symbols of all tabs

  const say = (...said: Said) => channel?.postMessage(said);
  const sayWants = () => isPresent && say("wants", tab, wanted);

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
    for (const [key, [, data]] of known) if (data && "symbol" in data && !all.has(data.symbol)) known.delete(key);
    stream.want([...all]);
  }

  function passOn(news: News) {
    const about = news[1] as { symbol?: string; exchange?: string } | undefined;
    const key = `${news[0]} ${about?.symbol ?? about?.exchange}`;
    known.delete(key); // what comes anew comes last
    known.set(key, news);
    tell(...news);
    say(...news);
  }

  function hear(said: Said) {
    robberies = 0;
    if (said[0] === "who") {
      if (holds) say("beat");
      else sayWants();
    } else if (said[0] === "wake") {
      if (holds) stream.wake(said[1]);
    } else if (said[0] === "wants") {
      if (holds) serve(said[1], said[2]);
    } else if (!holds) {
      // Else it is from a robbed one that does not know it yet.
      if (said[0] === "refused" && said[1].error?.code === "too_many_symbols" && wanted.includes(said[1].symbol))
        return partWithStream();
      heardAt = Date.now();
      tell(...said);
    }
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
    for (const news of known.values()) say(...news);
  }

  function open() {
    holds = true;
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
    if (!holds) return;
    holds = false;
    stream.want([]);
    tell("link", { up: false, simulated: false, error: null }); // to this tab alone, until it hears the next holder
    others.clear();
    known.clear();
  }

  function join() {
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }: MessageEvent<Said>) => hear(data);
    heardAt = lookedAt = Date.now();
    presence = new AbortController();
    const appear = () => {
      isPresent = true;
      sayWants();
    };
    hold(`${name} ${tab}`, presence.signal, appear, () => {});
    seek();
  }

  function part() {
    resign();
    term.abort();
    presence.abort();
    isPresent = false;
    channel?.close();
    channel = null;
  }

  /** Have the stream for this tab alone. */
  function partWithStream() {
    part();
    open();
  }

  return {
    want(symbols) {
      wanted = symbols;
      if (!symbols.length) return part();
      if (holds) supplySoon();
      else if (!channel) join();
      else sayWants();
    },
    wake(anew) {
      if (holds) return stream.wake(anew);
      heardAt = Math.min(heardAt, Date.now() - LOOKED_AT_MS);
      say("wake", anew);
      say("who");
    },
    look() {
      stream.look();
      // Having slept oneself says nothing about the others.
      if (holds || !channel || since(lookedAt) > ASLEEP_MS) heardAt = Date.now();
      lookedAt = Date.now();
      const silentMs = since(heardAt);
      if (silentMs > patienceMs) {
        heardAt = Date.now();
        // Robbed and still not a word: the others live and share the locks, but are not heard.
        if (robberies++) partWithStream();
        else seek(true);
      } else if (silentMs > ASK_AFTER_MS) say("who");
    },
  };
}
