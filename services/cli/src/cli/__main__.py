import sys

from market_pulse.process.logs import log_uncaught

INTERRUPTED = 130


def main() -> None:
    log_uncaught()  # before typer is imported, which keeps what it finds as the last resort
    try:
        from .app import app  # noqa: PLC0415 - takes a while, in which Ctrl-C shall be no error

        app(prog_name="market-pulse")  # in a container, too, where it is run as a module
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read our output, `head` for example, has had enough
        sys.stderr.close()  # nothing may be flushed to the closed pipe at exit
        sys.exit(0)


if __name__ == "__main__":
    main()
