"""Checks of the variables that OpenSSL and Python's ssl module read by themselves: their errors do not name the variable."""

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path


def check_readable(file: str) -> str:
    """Return the file's name if the file can be read.

    Raises:
        ValueError: it cannot be read.
    """
    return _open(file, "rb", "read")


def check_authorities(file: str) -> str:
    """Return the file's name if it holds certificates in PEM format.

    Raises:
        ValueError: it holds none, or it cannot be read.
    """
    check_readable(file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError):
        raise ValueError("the file holds no certificate in PEM format") from None
    return file


def check_folders(folders: str) -> str:
    """Return the folders, separated as in PATH, if all of them exist.

    Raises:
        ValueError: one does not exist, or cannot be read.
    """
    for folder in folders.split(os.pathsep):
        try:
            if not Path(folder).is_dir():
                raise ValueError("there is no such folder")
        except OSError as failed:
            raise ValueError(f"the folder cannot be read: {failed.strerror}") from None
    return folders


def check_writable(file: str) -> str:
    """Return the file's name if the file can be opened for appending. It is created if it does not exist.

    Raises:
        ValueError: it cannot be opened.
    """
    return _open(file, "ab", "written")


VARIABLES: Mapping[str, Callable[[str], str]] = {
    "SSL_CERT_FILE": check_authorities,
    "SSL_CERT_DIR": check_folders,
    "SSLKEYLOGFILE": check_writable,
}


def check_environment() -> None:
    """Check the values of VARIABLES that are set in the environment.

    Raises:
        ValueError: one is wrong. The message begins with the variable's name.
    """
    for variable, check in VARIABLES.items():
        if given := os.environ.get(variable):
            try:
                check(given)
            except ValueError as wrong:
                raise ValueError(f"{variable}: {wrong}") from None


def check_options(
    *, ssl_ca_certs: str | None = None, ssl_certfile: str | None = None, ssl_keyfile: str | None = None, **others: object
) -> None:
    """Check the files that a Redis URL's options name. `others` are options of redis-py that name no file.

    Raises:
        ValueError: a file cannot be used. The message begins with the option's name.
    """
    del others
    if ssl_ca_certs is not None:
        try:
            check_authorities(ssl_ca_certs)
        except ValueError as wrong:
            raise ValueError(f"?ssl_ca_certs: {wrong}") from None
    if ssl_certfile is None:
        if ssl_keyfile is not None:
            raise ValueError("?ssl_keyfile needs ?ssl_certfile")
        return
    try:
        for file in filter(None, (ssl_certfile, ssl_keyfile)):
            check_readable(file)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(ssl_certfile, ssl_keyfile, password="")
    except ssl.SSLError:
        raise ValueError("?ssl_certfile: no certificate in PEM format with its key") from None
    except ValueError as wrong:
        raise ValueError(f"?ssl_certfile: {wrong}") from None


def _open(file: str, mode: str, done: str) -> str:
    try:
        with open(file, mode):  # noqa: PTH123 - like ssl does; a Path would normalise the name
            return file
    except OSError as failed:
        raise ValueError(f"the file cannot be {done}: {failed.strerror}") from None
    except ValueError:
        raise ValueError("not a file name") from None
