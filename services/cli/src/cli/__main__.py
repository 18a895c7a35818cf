import sys

INTERRUPTED = 130


def main() -> None:
    try:
        from .app import app  # noqa: PLC0415 - takes a while, in which Ctrl-C shall be no error

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read our output, `head` for example, has had enough
        sys.stderr.close()  # nothing may be flushed to the closed pipe at exit
        sys.exit(0)


if __name__ == "__main__":
    main()
