import sys

from market_pulse.process.logs import log_uncaught

INTERRUPTED = 130


def main() -> None:
    log_uncaught()  # before typer is imported: typer keeps the exception hook that it finds
    try:
        from .app import app  # noqa: PLC0415 - slow to import; Ctrl-C meanwhile must not print a traceback

        app(prog_name="market-pulse")  # so named also in a container, where it runs as a module
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, for example `head`, has closed it
        sys.stderr.close()  # so that nothing is flushed to the closed pipe at exit
        sys.exit(0)


if __name__ == "__main__":
    main()
