/** A field to add a symbol to the page: an editable combobox with a list, after the WAI-ARIA pattern. */
import { type KeyboardEvent, useId, useState } from "react";
import { formatTime } from "../clock.ts";
import { type Listing, useListing, useListingFailure } from "../listing.ts";
import { exchangeName, symbolName } from "../names.ts";
import { convertible, matching } from "./matching.ts";
import "./Search.css";

const MOST_NAMED = 3;

interface Props {
  /** The symbols that have a card. */
  readonly shown: readonly string[];
  /** The quote whose symbols are listed first. */
  readonly quote: string | null;
  readonly onChoose: (symbol: string) => void;
}

export function Search({ shown, quote, onChoose }: Props) {
  const id = useId();
  const listing = useListing();
  const failingSince = useListingFailure();
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const [isOpen, setIsOpen] = useState(false);
  const options = matching(listing?.symbols ?? [], text, quote).concat(convertible(listing?.symbols ?? [], text));
  const isListed = isOpen && options.length > 0;
  const isInVain = isOpen && text.trim() !== "" && options.length === 0;

  function choose(symbol: string | undefined) {
    if (!symbol) return;
    onChoose(symbol);
    setText("");
    setIsOpen(false);
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      setActive(isOpen ? (active + step + options.length) % options.length : 0);
      setIsOpen(true);
    } else if (event.key === "Enter") choose(options[active]?.symbol);
    else if (event.key === "Escape") {
      if (!isOpen) setText("");
      setIsOpen(false);
    } else return;
    event.preventDefault();
  }

  return (
    <div className="search">
      <input
        type="text"
        role="combobox"
        aria-label="Add a symbol"
        placeholder="Add a symbol"
        autoComplete="off"
        autoCapitalize="characters"
        spellCheck={false}
        aria-autocomplete="list"
        aria-expanded={isListed}
        aria-controls={`${id}list`}
        aria-activedescendant={isListed ? `${id}${active}` : undefined}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setActive(0);
          setIsOpen(true);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setIsOpen(false)}
      />
      <div id={`${id}list`} className="search-list" role="listbox" aria-label="Listed symbols" hidden={!isListed}>
        {isListed &&
          options.map(({ symbol, exchanges }, index) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the field, which names the active option
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field handles the keys
            <div
              key={symbol}
              id={`${id}${index}`}
              role="option"
              aria-selected={index === active}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => choose(symbol)}
            >
              <span>
                <b>{symbolName(symbol).base}</b>
                <span className="unit">/{symbolName(symbol).quote}</span> {symbolName(symbol).coin}
              </span>
              <span className="label">{shown.includes(symbol) ? "shown" : sellers(exchanges)}</span>
            </div>
          ))}
      </div>
      {isInVain && <p className="search-list search-vain">{vainWords(text.trim(), listing, failingSince)}</p>}
    </div>
  );
}

/** Return the names of the exchanges that list a symbol, or only their number if they would not fit. */
function sellers(exchanges: readonly string[]): string {
  if (!exchanges.length) return "if it can be converted";
  return exchanges.length > MOST_NAMED ? `${exchanges.length} exchanges` : exchanges.map(exchangeName).join(", ");
}

/** Return why nothing was found. Only a current listing from the gateway proves that no exchange lists a symbol. */
function vainWords(text: string, listing: Listing | null, failingSince: number | null): string {
  if (!listing?.symbols.length) {
    return failingSince === null
      ? "The list of symbols is not known yet."
      : "The list of symbols is not known: the gateway does not answer. Trying again.";
  }
  if (failingSince === null) return `No exchange lists “${text}”.`;
  return `No exchange listed “${text}” when the gateway last answered, before ${formatTime(failingSince)}.`;
}
