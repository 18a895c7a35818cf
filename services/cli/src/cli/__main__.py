import sys

from .app import app


def main() -> None:
    try:
        app()
    except BrokenPipeError:  # whoever read our output, `head` for example, has had enough
        sys.stderr.close()  # nothing may be flushed to the closed pipe at exit
        sys.exit(0)


if __name__ == "__main__":
    main()
