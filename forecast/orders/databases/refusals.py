"""What a database's driver complains about, in our words: its own name the login and the host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from forecast.errors import InputError

_LOGIN = ("the database refuses the login", "Check the user and the password in the URL.")
_RIGHTS = ("the login may not read this", "Grant it SELECT on the tables.")
_NO_DATABASE = (
    "the URL names no database that is on the server",
    "Write its name after the host: .../shop.",
)
_NO_SERVER = (
    "the database server cannot be reached",
    "Check the host and the port in the URL, and that the server runs.",
)
_NO_CONNECTION = (
    "no connection to the database comes about",
    "Check the host, port, user, password and database in the URL, and that the server runs.",
)
_OPTION = ("an option in the URL is not known", "Check what stands after its question mark.")
_YEARS = ("a date lies outside the years 1 to 9999", "Leave such rows out with a query.")
_LOST = ("the connection to the database was lost while reading", "Try again, or ask for less with a query.")
_WRITES = ("the query would change the database", "Give one SELECT that only reads.")
_QUERY = ("the database refuses the query", "Check the names of its tables and columns, and its wording.")
_BUSY = ("the database is too busy", "Try again later.")
_OTHER = ("the database does not give the data", "Try the query in the database's own client.")
_NO_FILE = ("the file is no SQLite database that can be opened", "Check the path and its permissions.")
_PACKAGE = (
    "this server's login needs the package cryptography",
    'pip install "clv-forecast[sql]" brings it.',
)

# MySQL and MariaDB number their errors.
_NUMBERS = {
    **dict.fromkeys((1045, 1698, 1862, 4151), _LOGIN),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _RIGHTS),
    **dict.fromkeys((1046, 1049), _NO_DATABASE),
    **dict.fromkeys((2002, 2003, 2005), _NO_SERVER),
    **dict.fromkeys((1053, 1317, 1927, 1969, 2006, 2013, 3024), _LOST),
    **dict.fromkeys((1290, 1792), _WRITES),
    **dict.fromkeys((1040, 1203, 1205, 1226), _BUSY),
    **dict.fromkeys((1052, 1054, 1060, 1064, 1111, 1146, 1222, 1305, 1582, 1630), _QUERY),
}

# The standard's classes, as PostgreSQL has them; the longest beginning counts.
_STATES = {
    "28": _LOGIN,
    "3D": _NO_DATABASE,
    "42501": _RIGHTS,
    "42": _QUERY,
    "0A": _QUERY,
    "08": _LOST,
    "57": _LOST,
    "25006": _WRITES,
    "53": _BUSY,
    "55": _BUSY,
}

# A refused connection to PostgreSQL and an error of SQLite have only words.
_WORDS = (
    ("authentication failed|no password supplied|role .* does not exist|pg_hba", _LOGIN),
    ("database .* does not exist", _NO_DATABASE),
    ("too many clients|remaining connection slots|database is locked", _BUSY),
    ("(translate|resolve) host|name or service|name resolution", _NO_SERVER),
    ("refused|time(d )?out|unreachable|no route", _NO_SERVER),
    ("connection option|query parameter|unexpected keyword", _OPTION),
    ("could not connect|connection to server|connection failed|connection is bad", _NO_CONNECTION),
    ("(timestamp|date) too (large|small)", _YEARS),
    ("server closed the connection|connection lost|consuming input", _LOST),
    ("readonly database", _WRITES),
    ("unable to open|not a database|malformed", _NO_FILE),
    ("no such|syntax error|ambiguous column|misuse of|incomplete input|one statement|unrecognized", _QUERY),
    ("package is required", _PACKAGE),
)  # fmt: skip


def refusal(error: BaseException, where: str | None, secrets: Iterable[str]) -> InputError:
    """A driver's error as one of ours.

    Its own words are given only where they are about the query, and only when nothing of the URL is in them.

    Parameters
    ----------
    error : exception
        As the driver or SQLAlchemy raised it.
    where : str or None
        What was being read, when it had come to that.
    secrets : iterable of str
        User, password, host and the like.

    Returns
    -------
    InputError

    Examples
    --------
    >>> str(refusal(OSError("timed out: db.example"), None, ["db.example"]))
    'the database server cannot be reached. Check the host and the port in the URL, and that the server runs.'
    """
    own = getattr(error, "orig", None) or error
    what, advice = _kind(own)
    if where is None and (what, advice) == _OTHER:
        what, advice = _NO_CONNECTION
    examples = []
    if (what, advice) == _QUERY:
        said = _words(own)
        if said and not any(secret.lower() in said.lower() for secret in secrets if secret):
            examples.append(said)
    return InputError(what, where=where, examples=examples, advice=advice)


def _kind(error: Any) -> tuple[str, str]:
    number = error.args[0] if getattr(error, "args", None) else None
    if isinstance(number, int) and number in _NUMBERS:
        return _NUMBERS[number]
    state = getattr(error, "sqlstate", None) or ""
    for length in (5, 2):
        if state[:length] in _STATES:
            return _STATES[state[:length]]
    said = str(error)
    for pattern, kind in _WORDS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind
    return _NO_SERVER if isinstance(error, OSError) else _OTHER


def _words(error: Any) -> str:
    """What the server says of the query, without the driver's frame around it."""
    message = getattr(getattr(error, "diag", None), "message_primary", None)
    if message is None:
        message = error.args[-1] if error.args else ""
    return " ".join(str(message).split())[:200]
