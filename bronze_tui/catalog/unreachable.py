"""Why PostgreSQL takes no connection, and what to do, from what libpq says.

libpq gives a failed connection no SQL state, so its words decide. A server may speak another
language: then the words are passed on as they are.
"""

from __future__ import annotations

import re

from bronze_tui.domain.errors import CatalogUnavailable

BRING_BACK = "bring the server back, or mend catalog.postgres_dsn"

_PREAMBLE = re.compile(
    r"^(?:connection failed: )?connection to server (?:at|on socket) .*? failed: (?:FATAL: +)?"
)
_REFUSALS = (
    (
        re.compile(r"password authentication failed|no password supplied|authentication failed"),
        "PostgreSQL refuses user and password",
        "correct both in catalog.postgres_dsn (special characters percent-encoded), or the role's"
        " password",
    ),
    (
        re.compile(r'role "[^"]*" does not exist'),
        "PostgreSQL does not know this user",
        "make the role, or correct the user in catalog.postgres_dsn",
    ),
    (
        re.compile(r'database "[^"]*" does not exist'),
        "PostgreSQL has no such database",
        "make it (createdb), or correct its name in catalog.postgres_dsn",
    ),
    (
        re.compile(r"no pg_hba\.conf entry"),
        "PostgreSQL lets nobody in from here this way",
        "allow this host, user and database in pg_hba.conf; if it says no encryption, add"
        " sslmode=require",
    ),
    (
        re.compile(r"could not translate host name|Name or service not known|resolve host"),
        "PostgreSQL's host name is not known",
        "correct the host in catalog.postgres_dsn, or the name server",
    ),
    (
        re.compile(r"Connection refused|No such file or directory"),
        "PostgreSQL does not answer",
        "start PostgreSQL, or correct host and port in catalog.postgres_dsn",
    ),
)


def away(cause: str, where: str) -> CatalogUnavailable:
    """The error of a connection that could not be made or was lost.

    Args:
        cause: libpq's words in one line, without secrets.
    """
    told = _PREAMBLE.sub("", cause)
    for words, what, todo in _REFUSALS:
        if words.search(told):
            return CatalogUnavailable(f"{what} ({told})", where=where, todo=todo)
    return CatalogUnavailable(f"PostgreSQL does not answer ({told})", where=where, todo=BRING_BACK)
