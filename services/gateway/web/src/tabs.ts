/**
 * One stream for all tabs of an origin. The tab that holds a Web Lock has the stream, and sends its news to the other tabs over
 * a BroadcastChannel. The other tabs send it what they want. When the holder closes, the browser gives the lock to
 * the next tab. When the holder falls asleep, another tab steals the lock.
 *
 * A stream carries a limited number of symbols: first the holder's, then those of the other tabs, oldest tab first. A tab
 * whose symbols do not fit opens a stream of its own.
 *
 * Where there are no locks (a page that is neither https nor localhost, an old browser), each tab has its own stream.
 */
import { openStream } from "./stream.ts";
import { since } from "./timing.ts";
import type { Feed, News, RealtimeClientOptions, Tell, Wants } from "./types.ts";
import { joined, NOTHING } from "./wants.ts";

type Said =
  | News
  | readonly [type: "wants", tab: string, wants: Wants]
  | readonly [type: "wake", anew: boolean] // asks the holder for Feed.wake with this argument
  | readonly [type: "get", symbol: string, path: string] // asks the holder for Feed.get with these arguments
  // Asks all tabs to answer. A new holder sends it to learn their wants, other tabs to learn whether the holder is alive.
  | readonly [type: "who"];

const ASK_AFTER_MS = 5000; // silence after which a tab sends "who": live prices come every second
const ROB_AFTER_MS = 8000; // silence after which a tab steals the lock
const LOOKED_AT_MS = 6000; // a tab that was woken waits so much less: its visitor wants prices now
const ASLEEP_MS = 2000; // a tab whose code did not run for longer was asleep
const SUPPLY_AFTER_MS = 20; // until all tabs have sent their wants

/** Make a feed of a gateway's prices that this tab shares with the origin's other tabs. It reports all news to `tell`. */
export function shareStream(options: RealtimeClientOptions, tell: Tell): Feed {
  const locks = globalThis.navigator?.locks;
  const name = ["market-pulse.v5", options.baseUrl, options.apiKey].join(" "); // another key may get another answer
  try {
    new BroadcastChannel(name).close();
    if (!locks) throw new Error();
  } catch {
    return openStream(options, tell); // some browsers throw when a page without cookies opens a channel
  }
  const tab = crypto.randomUUID();
  let wanted = NOTHING; // this tab's own wants
  let channel: BroadcastChannel | null = null; // to the other tabs; null while this tab does not share
  let presence = new AbortController(); // aborted when this tab stops sharing
  let isPresent = false; // this tab holds a lock of its own name, whose release tells the holder that the tab is gone
  let term = new AbortController(); // aborted when this tab stops holding the stream or waiting for it
  const stream = openStream(options, (...news) => holds && passOn(news)); // once the lock is lost, the stream's news is dropped
  let holds = false; // this tab holds the lock, or does not share and has a stream of its own
  const patienceMs = ROB_AFTER_MS + 2000 * Math.random(); // random, so that not all tabs steal the lock at once
  let robberies = 0; // how often this tab stole the lock since it last received anything from another tab
  const others = new Map<string, Wants>(); // the wants of each other tab, while this one holds the stream
  const known = new Map<string, News>(); // the newest news of each kind and symbol, oldest first, for tabs that join
  let heardAt = 0; // when the holder last sent anything
  let lookedAt = 0; // when `look` last ran; if that is long ago, this tab was asleep
  let supplying: ReturnType<typeof setTimeout> | undefined; // until the stream gets the wants of all tabs

  const say = (...said: Said) => channel?.postMessage(said);
  const sayWants = () => isPresent && say("wants", tab, wanted);

  /**
   * Request a lock, or steal it from its holder. Call `held` when it is granted, and keep it until the signal aborts. If
   * another tab steals it before that, call `robbed`.
   */
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
      else held(); // a sandboxed frame may not use locks, but shares with no other tab either
    });
  }

  function supplySoon() {
    supplying ??= setTimeout(supply, SUPPLY_AFTER_MS);
  }

  function supply() {
    supplying = undefined;
    const all = joined([wanted, ...others.values()]);
    for (const [key, [, data]] of known)
      if (data && "symbol" in data && !all.symbols.some((name) => `${data.symbol}-`.startsWith(`${name}-`))) known.delete(key);
    stream.want(all);
  }

  function passOn(news: News) {
    const about = news[1] as { symbol?: string; exchange?: string; interval?: string } | undefined;
    const key = `${news[0]} ${about?.symbol ?? about?.exchange} ${about?.interval}`;
    known.delete(key); // so that the new entry goes last
    if (news[0] !== "answer") known.set(key, news);
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
    } else if (said[0] === "get") {
      if (holds) stream.get(said[1], said[2]);
    } else if (said[0] === "wants") {
      if (holds) serve(said[1], said[2]);
    } else if (!holds) {
      // A holder drops such news: they come from a robbed tab that does not know yet that it lost the lock.
      if (said[0] === "refused" && said[1].error?.code === "too_many_symbols" && wanted.symbols.includes(said[1].symbol))
        return partWithStream();
      heardAt = Date.now();
      tell(...said);
    }
  }

  function serve(other: string, wants: Wants) {
    // Each tab holds a lock of its own name for as long as it shares. When we get that lock, the tab is gone.
    const gone = () => {
      others.delete(other);
      supplySoon();
    };
    // A failed request means that this tab stopped holding the stream.
    if (!others.has(other)) locks.request(`${name} ${other}`, { signal: term.signal }, gone).catch(() => {});
    others.set(other, wants);
    supplySoon();
    for (const news of known.values()) say(...news);
  }

  function open() {
    holds = true;
    supplySoon();
  }

  /** Wait for the lock, or steal it, and open the stream when it is granted. */
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

  /** Close the stream without telling the other tabs: the next holder will report its own stream to them. */
  function resign() {
    clearTimeout(supplying);
    supplying = undefined;
    if (!holds) return;
    holds = false;
    stream.want(NOTHING);
    tell("link", { up: false, simulated: false, error: null, since: 0, kinds: [] }); // this tab has no stream until the next holder reports one
    others.clear();
    known.clear();
  }

  /** Start to share: listen to the other tabs, announce this one, and wait for the lock. */
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

  /** Stop sharing, and close the stream if this tab holds it. */
  function part() {
    resign();
    term.abort();
    presence.abort();
    isPresent = false;
    channel?.close();
    channel = null;
  }

  /** Stop sharing, and open a stream for this tab alone. */
  function partWithStream() {
    part();
    open();
  }

  return {
    want(wants) {
      wanted = wants;
      if (!wanted.symbols.length) return part();
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
    get(symbol, path) {
      if (holds) stream.get(symbol, path);
      else say("get", symbol, path);
    },
    look() {
      stream.look();
      // If this tab itself was asleep, the silence says nothing about the holder.
      if (holds || !channel || since(lookedAt) > ASLEEP_MS) heardAt = Date.now();
      lookedAt = Date.now();
      const silentMs = since(heardAt);
      if (silentMs > patienceMs) {
        heardAt = Date.now();
        // Nothing came even after a robbery: the other tabs share the locks with this one, but no channel.
        if (robberies++) partWithStream();
        else seek(true);
      } else if (silentMs > ASK_AFTER_MS) say("who");
    },
  };
}
