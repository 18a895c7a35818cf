"""Variables that OpenSSL and Python's ssl read by themselves, checked before they do: their errors name no variable."""

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path


def check_readable(file: str) -> str:
    """Return the file's name if the file can be read.

    Raises:
        ValueError: it cannot.
    """
    return _open(file, "rb", "read")


def check_authorities(file: str) -> str:
    """Return the file's name if it holds certificates in PEM form.

    Raises:
        ValueError: it does not, or cannot be read.
    """
    check_readable(file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError):
        raise ValueError("the file holds no certificate in PEM form") from None
    return file


def check_folders(folders: str) -> str:
    """Return the folders, separated as in PATH, if each is there.

    Raises:
        ValueError: one is not.
    """
    for folder in folders.split(os.pathsep):
        try:
            if not Path(folder).is_dir():
                raise ValueError("there is no such folder")
        except OSError as failed:
            raise ValueError(f"the folder cannot be read: {failed.strerror}") from None
    return folders


def check_writable(file: str) -> str:
    """Return the file's name if something can be added to the file.

    Raises:
        ValueError: it cannot.
    """
    return _open(file, "ab", "written")


VARIABLES: Mapping[str, Callable[[str], str]] = {
    "SSL_CERT_FILE": check_authorities,
    "SSL_CERT_DIR": check_folders,
    "SSLKEYLOGFILE": check_writable,
}


def check_environment() -> None:
    """Look whether what the libraries will read is of any use to them.

    Raises:
        ValueError: a variable is wrong; the message begins with its name.
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
    """Look at the files that redis-py will be told to use for TLS; `others` are its options that name none.

    Raises:
        ValueError: one cannot be used; the message begins with the option's name.
    """
    del others
    if ssl_ca_certs is not None:
        try:
            check_authorities(ssl_ca_certs)
        except ValueError as wrong:
            raise ValueError(f"?ssl_ca_certs: {wrong}") from None
    if ssl_certfile is None:
        if ssl_keyfile is not None:
            raise ValueError("?ssl_keyfile is of no use without ?ssl_certfile")
        return
    try:
        for file in filter(None, (ssl_certfile, ssl_keyfile)):
            check_readable(file)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(ssl_certfile, ssl_keyfile, password="")
    except ssl.SSLError:
        raise ValueError("?ssl_certfile: no certificate in PEM form with the key to it") from None
    except ValueError as wrong:
        raise ValueError(f"?ssl_certfile: {wrong}") from None


def _open(file: str, mode: str, done: str) -> str:
    try:
        with open(file, mode):  # noqa: PTH123 - as ssl does: a Path would tidy the name up
            return file
    except OSError as failed:
        raise ValueError(f"the file cannot be {done}: {failed.strerror}") from None
    except ValueError:
        raise ValueError("not the name of a file") from None
