/** Copies a link to this page with these symbols in this quote, which shows them to anybody. */
import { useEffect, useState } from "react";
import { announcement } from "../announcement.ts";
import { searchWith } from "../symbolSet.ts";

const SAID_MS = 2000;

export function CopyLink({ symbols, quote }: { symbols: readonly string[]; quote: string | null }) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const end = setTimeout(() => setIsCopied(false), SAID_MS);
    return () => clearTimeout(end);
  }, [isCopied]);

  async function copy() {
    const link = location.origin + location.pathname + searchWith(location.search, symbols, quote);
    try {
      await navigator.clipboard.writeText(link);
      setIsCopied(true);
      announcement.set("Link copied.");
    } catch {
      window.prompt("Copy this link:", link); // without TLS or permission, a page may not use the clipboard
    }
  }

  return (
    <button type="button" className="button copy-link" onClick={copy}>
      {isCopied ? "Copied" : "Copy link"}
    </button>
  );
}
