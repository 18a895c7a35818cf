/** Copies an address that shows these symbols to anybody. */
import { useEffect, useState } from "react";
import { announcement } from "../announcement.ts";
import { searchWith } from "../symbolSet.ts";

const SAID_MS = 2000;

export function CopyLink({ symbols }: { symbols: readonly string[] }) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const end = setTimeout(() => setIsCopied(false), SAID_MS);
    return () => clearTimeout(end);
  }, [isCopied]);

  async function copy() {
    const link = location.origin + location.pathname + searchWith(location.search, symbols);
    try {
      await navigator.clipboard.writeText(link);
      setIsCopied(true);
      announcement.set("Link copied.");
    } catch {
      window.prompt("Copy this link:", link); // no clipboard without TLS, or none allowed
    }
  }

  return (
    <button type="button" className="button copy-link" onClick={copy}>
      {isCopied ? "Copied" : "Copy link"}
    </button>
  );
}
