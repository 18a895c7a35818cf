/** Stands in place of a price if a symbol is unknown. Says why, and offers symbols that the visitor may have meant. */
import { suggestionsFor } from "../../suggestions.ts";
import type { RealtimeError } from "../../types.ts";
import { sentence } from "../parts/words.ts";

interface Props {
  readonly symbol: string;
  readonly error: RealtimeError | null;
  readonly onChoose: (symbol: string) => void;
}

export function UnknownSymbol({ symbol: asked, error, onChoose }: Props) {
  const suggestions = suggestionsFor(asked, error);
  return (
    <div className="card-unknown">
      <p>{sentence(error?.message ?? "No exchange lists this symbol")}</p>
      {suggestions.length > 0 && (
        <>
          <p className="label">Did you mean</p>
          <ul>
            {suggestions.map((symbol) => (
              <li key={symbol}>
                <button type="button" className="button" onClick={() => onChoose(symbol)}>
                  {symbol}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
