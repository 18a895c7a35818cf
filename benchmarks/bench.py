"""Run one benchmark by its name, or all of them: `python benchmarks/bench.py [NAME] [options of that benchmark]`."""

import importlib
import sys

import report

BENCHMARKS = {
    "fanout": "one ticker to many streams, beside other servers for the same job",
    "aggregate": "ticks in, tickers out, beside a program that only republishes them",
    "ingest": "frames in, ticks out, beside other exchange clients",
    "candle": "the candles of many symbols, beside a process that only receives",
    "publish": "the processor time of publishing one tick",
    "end_to_end": "how long a price takes from the exchange to the browser",
    "line": "the cost of a visitor: bytes on the wire, and the processor time of the server and of the browser",
    "tracking": "how far our price and each exchange's are from the true one while exchanges fail",
    "growth": "the resources of each part as symbols, clients and ticks grow, and the limit that is reached first",
}


def main(arguments: list[str]) -> None:
    if arguments and arguments[0] not in BENCHMARKS:
        print(__doc__, *(f"  {name}: {what}" for name, what in BENCHMARKS.items()), sep="\n")
        raise SystemExit(0 if arguments[0] in {"-h", "--help"} else 2)
    for name in arguments[:1] or BENCHMARKS:
        print(f"\n## {name}: {BENCHMARKS[name]}\n\n{report.machine()}", flush=True)
        importlib.import_module(name).main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
