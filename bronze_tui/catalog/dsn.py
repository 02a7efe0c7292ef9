"""PostgreSQL connection strings: what libpq takes of them, an address to show, the secrets."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bronze_tui.config.redact import HIDDEN, redact
from bronze_tui.domain.errors import ConfigError

_DEFAULTS = {
    # A server or a network that is gone is noticed within half a minute.
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "bronze-tui",
}
_NOT_UNDERSTOOD = (
    "PostgreSQL does not understand it (not shown); percent-encode special characters of the"
    " password, such as %40 for @ and %2F for /"
)
_POOL = re.compile(r"pool_[a-z_]+")
"""Keys that the Go copier's driver takes for its pool; here is one connection."""


@dataclass(frozen=True, slots=True)
class Address:
    """A connection string taken apart."""

    options: dict[str, Any]
    """Keywords of libpq."""
    where: str
    """Host, port and database, for people."""
    secrets: tuple[str, ...]

    def clean(self, text: str) -> str:
        """``text`` without anything secret."""
        return redact(text, self.secrets)


def parse(dsn: str, *, read_only: bool = False) -> Address:
    """Take a connection string apart; settings that libpq does not know become session settings,
    as the Go copier's driver has it (``?search_path=meta``).

    Raises:
        ConfigError: libpq does not understand it. The text, which may hold the password, is not
            shown.
    """
    base, settings = _session_settings(dsn)
    try:
        options: dict[str, Any] = dict(conninfo_to_dict(base))
    except psycopg.Error as error:
        raise ConfigError([f"catalog.postgres_dsn: {_reason(error)}"]) from None
    if _is_torn(options):
        raise ConfigError([f"catalog.postgres_dsn: {_NOT_UNDERSTOOD}"])
    if settings:
        given = options.get("options")
        options["options"] = " ".join([*([given] if given else []), *settings])
    for key, value in _DEFAULTS.items():
        options.setdefault(key, value)
    if not read_only:
        # A standby takes no commits: better to wait for the primary.
        options.setdefault("target_session_attrs", "read-write")
    return Address(options, _where(options), _secrets(dsn, options))


def _session_settings(dsn: str) -> tuple[str, list[str]]:
    base, mark, query = dsn.partition("?")
    if "://" not in dsn or not mark:
        return dsn, []
    known = {o.keyword.decode() for o in psycopg.pq.Conninfo.get_defaults()}
    kept, settings = [], []
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key in known or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", key):
            kept.append(part)
        elif not _POOL.fullmatch(key):
            text = urllib.parse.unquote(value).replace("\\", "\\\\").replace(" ", "\\ ")
            settings.append(f"-c {key}={text}")
    return base + (f"?{'&'.join(kept)}" if kept else ""), settings


def _reason(error: psycopg.Error) -> str:
    """libpq quotes the whole string, so only which part it stumbled over is told."""
    found = re.match(r'invalid (?:URI query parameter|connection option): "([a-z_.]+)"', str(error))
    if found:
        return f"PostgreSQL knows no option {found[1]!r}"
    return _NOT_UNDERSTOOD


def _is_torn(options: dict[str, Any]) -> bool:
    """Whether a password with @ or / in it, not encoded, was taken for host, port or database."""
    port, name = str(options.get("port") or ""), str(options.get("dbname") or "")
    return re.fullmatch(r"[0-9,]*", port) is None or "@" in name


def _where(options: dict[str, Any]) -> str:
    host = options.get("host") or options.get("hostaddr") or "local socket"
    port, name = options.get("port"), options.get("dbname") or options.get("service") or ""
    return f"PostgreSQL {host}{f':{port}' if port else ''}/{name}"


def _secrets(dsn: str, options: dict[str, Any]) -> tuple[str, ...]:
    found = {str(options[key]) for key in ("password", "sslpassword") if options.get(key)}
    encoded = {urllib.parse.quote(text, safe="") for text in found}
    return tuple(text for text in {dsn, *found, *encoded} if text != HIDDEN)
