/** The switch between quotes: all symbols that are named without one are shown in the chosen one. */
import { chosenQuote } from "../choice.ts";
import { QUOTES } from "../quotes.ts";
import "./QuoteChoice.css";

interface Props {
  /** The quote that is shown: the visitor's, or the gateway's; null while neither is known. */
  readonly quote: string | null;
  /** The gateway's quote, which is offered, too. */
  readonly usual: string | null;
}

export function QuoteChoice({ quote, usual }: Props) {
  const offered = new Set([...QUOTES, usual, quote].filter((one) => one !== null));
  return (
    <fieldset className="quotes">
      <legend className="label">Prices in</legend>
      {[...offered].map((one) => (
        <button key={one} type="button" className="button" aria-pressed={one === quote} onClick={() => chosenQuote.set(one)}>
          {one}
        </button>
      ))}
    </fieldset>
  );
}
