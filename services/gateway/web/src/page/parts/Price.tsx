/** A price. It is drawn digit by digit, and screen readers read it as one number. Changed digits light up for a moment. */
import type { ClipboardEvent } from "react";
import { formatPrice, type Part, splitParts } from "../../format.ts";
import "./Price.css";
import { useFlash } from "./useFlash.ts";

interface Props {
  readonly price: number | null;
  readonly dp: number;
  /** The currency of the price, which is written behind it. */
  readonly quote: string;
  /** Whether this is an old price. An old price never flashes. */
  readonly isOld?: boolean;
}

export function Price({ price, dp, quote, isOld = false }: Props) {
  const { parts, plain, full } = formatPrice(price, dp);
  const flash = useFlash(plain, price);
  const [steady, changed] = splitParts(parts, flash && !isOld ? flash.from : plain.length);
  const copyFull = (event: ClipboardEvent) => {
    event.clipboardData.setData("text/plain", full);
    event.preventDefault();
  };
  return (
    <span className="price-whole">
      <span className="price" data-old={isOld || undefined} title={full} onCopy={copyFull}>
        <span aria-hidden="true">
          <Digits parts={steady} />
          {changed.length > 0 && (
            // A new span for each first digit: if the same one began elsewhere, the browser would count it as moved.
            <span key={flash?.from} className={flash?.isLit ? "flash" : undefined} data-direction={flash?.direction}>
              <Digits parts={changed} />
            </span>
          )}
        </span>
        <span className="visually-hidden">{full}</span>
      </span>
      {price !== null && <span className="price-quote"> {quote}</span>}
    </span>
  );
}

function Digits({ parts }: { parts: readonly Part[] }) {
  return parts.map(({ text, sub }, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text have no other key
    sub ? <sub key={index}>{text}</sub> : <span key={index}>{text}</span>,
  );
}
