"""One line of text for a decoded XDR value: what a person calls it, never markup, never cut here.

Accounts are G..., contracts C..., hashes bare hex, numbers grouped, times with their date.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MOST = 4_000
"""Characters of one value; a contract's code is longer and has the hex view."""


def short(value: Any, *, text: bool = False) -> str:
    """``value`` in one line; empty for a struct without a common name.

    Args:
        text: bytes are an XDR string.
    """
    from bronze_tui.inspect.tree import bare, kind_of

    named = _NAMED.get(type(value).__name__)
    if named is not None:
        try:
            return named(value)
        except (ValueError, TypeError, AttributeError, OverflowError):
            pass
    if kind_of(type(value)) == "typedef":
        text = text or "string" in _declaration(type(value))
    inner = bare(value)
    if inner is not value and type(inner).__name__ in _NAMED:
        return short(inner, text=text)
    return _plain(inner, text)


def string(value: bytes) -> str:
    """An XDR string in double quotes; bytes that are no UTF-8 as ``\\xNN``."""
    return f'"{value.decode("utf-8", "backslashreplace")}"'


def _plain(value: Any, text: bool) -> str:
    if value is None:
        return "absent"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, bytes):
        return string(value) if text else _hex(value)
    if isinstance(value, list):
        return f"{len(value):,} item{'' if len(value) == 1 else 's'}"
    return _arm(value)


def _arm(value: Any) -> str:
    """A union says which arm it has; when that arm is a scalar, its value too."""
    from bronze_tui.inspect.tree import children, kind_of, root

    if kind_of(type(value)) != "union":
        return ""
    chosen = next(iter(vars(value).values()))
    word = chosen.name if isinstance(chosen, enum.Enum) else f"v{_number(chosen)}"
    below = children(root(value))
    if len(below) == 1 and not children(below[0]):
        return f"{word}  {short(below[0].value, text=below[0].text)}"
    return word


def _number(value: Any) -> str:
    from bronze_tui.inspect.tree import bare

    inner = bare(value)
    return str(int(inner)) if isinstance(inner, int) else str(inner)


def _hex(value: bytes) -> str:
    if len(value) * 2 <= MOST:
        return value.hex() or "empty"
    return f"{value[: MOST // 2].hex()}… {len(value):,} bytes"


def _declaration(cls: type) -> str:
    return (cls.__doc__ or "").partition("::")[2]


def _account(value: Any) -> str:
    from stellar_sdk import StrKey

    key = getattr(value, "account_id", value)
    return StrKey.encode_ed25519_public_key(key.ed25519.uint256)


def _muxed(value: Any) -> str:
    from stellar_sdk import MuxedAccount

    return MuxedAccount.from_xdr_object(value).universal_account_id


def _asset(value: Any) -> str:
    from stellar_sdk import Asset

    asset = Asset.from_xdr_object(value)
    return "XLM" if asset.is_native() else f"{asset.code}:{asset.issuer}"


def _address(value: Any) -> str:
    from stellar_sdk import Address

    return str(Address.from_xdr_sc_address(value).address)


def _time(value: Any) -> str:
    seconds = value.time_point.uint64
    try:
        return f"{seconds:,}  {datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:,}  beyond the calendar"


def _symbol(value: Any) -> str:
    return string(value.sc_symbol)


def _code(value: Any) -> str:
    raw = value.asset_code4 if hasattr(value, "asset_code4") else value.asset_code12
    return string(raw.rstrip(b"\0"))


def _wide(*parts: tuple[str, bool]) -> Callable[[Any], str]:
    """Joins the words of a 128 or 256 bit number, highest first."""

    def join(value: Any) -> str:
        total = 0
        for name, signed in parts:
            word = getattr(value, name)
            total = (total << 64) + int(word.int64 if signed else word.uint64)
        return f"{total:,}"

    return join


_NAMED: dict[str, Callable[[Any], str]] = {
    "AccountID": _account,
    "PublicKey": _account,
    "NodeID": lambda value: _account(value.node_id),
    "MuxedAccount": _muxed,
    "Asset": _asset,
    "TrustLineAsset": _asset,
    "SCAddress": _address,
    "TimePoint": _time,
    "SCSymbol": _symbol,
    "AssetCode4": _code,
    "AssetCode12": _code,
    "UInt128Parts": _wide(("hi", False), ("lo", False)),
    "Int128Parts": _wide(("hi", True), ("lo", False)),
}
