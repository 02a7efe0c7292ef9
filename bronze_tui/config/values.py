"""Text of a configuration into typed values, and the rules of single values.

Each function takes text (or a value that already has its type) and raises ``ValueError`` whose
message reads ``<rule broken>; <what to do>`` and does not repeat the value, which may be secret.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bronze_tui.domain.endpoint import parse_endpoint
from bronze_tui.domain.names import RULE, is_name

_TRUE = frozenset({"true", "yes", "on", "y"})
_FALSE = frozenset({"false", "no", "off", "n"})
_SIZE = re.compile(r"([0-9][0-9_]*) ?([a-z]*)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{middle}b": base**power
    for power, letter in enumerate("kmgt", start=1)
    for middle, base in (("", 1000), ("i", 1024))
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}")
_PREFIX = re.compile(r"[A-Za-z0-9._=+@-]+")


def whole(value: Any) -> Any:
    """A whole number: decimal, ``10_000``, or ``0x`` / ``0o`` / ``0b`` with their digits."""
    if not isinstance(value, str):
        return _not_bool(value)
    try:
        if not value.isascii() or value != value.strip():
            raise ValueError
        return int(value, 0)
    except ValueError:
        raise ValueError(
            "is not a whole number; write digits without a leading zero, such as 10000"
        ) from None


def switch(value: Any) -> Any:
    """``true`` or ``false``; ``yes``, ``no``, ``on``, ``off`` as YAML 1.1 has them."""
    if not isinstance(value, str):
        return value
    word = value.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("is neither true nor false; write one of these two")


def byte_size(value: Any) -> Any:
    """Bytes: ``268435456``, ``256MiB`` (powers of 1024), ``64MB`` (powers of 1000)."""
    if not isinstance(value, str):
        return _not_bool(value)
    found = _SIZE.fullmatch(value)
    unit = _UNITS.get(found.group(2).lower()) if found else None
    if found is None or unit is None or len(value) > 40:
        raise ValueError("is not a size; write bytes or a number with KiB, MiB, GiB, KB, MB, GB")
    return int(found.group(1).replace("_", "")) * unit


def seconds(value: Any) -> Any:
    """Seconds as a plain number."""
    if not isinstance(value, str):
        return _not_bool(value)
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", value) is None:
        raise ValueError("is not a number of seconds; write digits, such as 5 or 0.5")
    return float(value)


def lower(value: Any) -> Any:
    """A word in any case."""
    return value.lower() if isinstance(value, str) else value


def name(value: str) -> str:
    """A name that is safe as one path segment."""
    if not is_name(value):
        raise ValueError(f"cannot be part of a path; use {RULE}")
    return value


def path(value: str) -> str:
    """A local path; relative ones count from the current directory."""
    if value.startswith("~"):
        raise ValueError("begins with ~, which is not expanded; write ${HOME} or the full path")
    if "://" in value:
        raise ValueError("is an address, not a path; use the section's url key for it")
    return value


def is_address(value: str) -> bool:
    """Whether ``value`` is a URL."""
    return _SCHEME.match(value) is not None


def address(value: str) -> str:
    """A URL without credentials, or a path, or nothing."""
    if not is_address(value):
        return path(value)
    parts = _split(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials; leave them to the environment of the cloud client")
    if parts.query or parts.fragment:
        raise ValueError("has a query or fragment; use the section's own keys")
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("is not an absolute file URL; write file:///folder or just the path")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError("names no bucket or host; write it after ://")
    return value


def web_address(value: str) -> str:
    """An ``http(s)://`` URL, or nothing."""
    if not value:
        return value
    parts = _split(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an http or https address; write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials; remove them")
    return value


def endpoint(value: str) -> str:
    """Where events are posted to, or nothing."""
    if value:
        parse_endpoint(value)
    return value


def bearer_token(value: str) -> str:
    """What stands after ``Bearer`` in a header, or nothing."""
    if re.fullmatch(r"[!-~]*", value) is None:
        raise ValueError("holds spaces, line ends or other than ASCII; write the bare token")
    return value


def listen_address(value: str) -> str:
    """``host:port`` or ``:port``."""
    host, colon, port = value.rpartition(":")
    bare = not host or host.startswith("[") or ":" not in host
    if not (colon and bare and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536):
        raise ValueError("is not host:port; write an address such as :9090 or 127.0.0.1:9090")
    return value


def bucket(value: str) -> str:
    """A bucket's bare name, or nothing."""
    if value and _BUCKET.fullmatch(value) is None:
        raise ValueError("is not a bucket name; write it without gs:// or s3:// and folders")
    return value


def key_prefix(value: str) -> str:
    """A folder below the store's root, made to end with a slash; ``/`` is no folder at all."""
    segments = [part for part in value.split("/") if part not in {"", "."}]
    if any(part == ".." or _PREFIX.fullmatch(part) is None for part in segments):
        raise ValueError("is no safe folder name; use letters, digits, . _ - and / between")
    return "".join(f"{part}/" for part in segments)


def compression(value: str) -> str:
    """``zstd:1`` to ``zstd:22``, ``zstd`` (level 3), ``snappy`` or ``none``."""
    if value == "zstd":
        return "zstd:3"
    if value in {"snappy", "none"} or re.fullmatch(r"zstd:([1-9]|1[0-9]|2[0-2])", value):
        return value
    raise ValueError("is no compression; write zstd, zstd:1 to zstd:22, snappy or none")


def dsn(value: str) -> str:
    """A PostgreSQL connection string in either of its two forms, or nothing."""
    if not value or re.match(r"postgres(?:ql)?://", value) or re.match(r"\s*[a-z_]+\s*=", value):
        return value
    raise ValueError(
        "is no PostgreSQL connection string; write postgres://host/database and the credentials"
    )


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not a number; write digits")
    return value


def _split(value: str) -> Any:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a valid URL; check host and port") from None
    return parts
