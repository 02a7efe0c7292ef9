"""The effective configuration for people and programs, secrets hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from bronze_tui.config import keys
from bronze_tui.config.keys import Shape
from bronze_tui.config.load import Loaded
from bronze_tui.config.redact import HIDDEN, is_secret_name, redact, redact_dsn

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_COLUMN = 44


def redacted(settings: BaseModel) -> dict[str, Any]:
    """Settings as plain data in key order, every secret as ``***``."""
    result: dict[str, Any] = {}
    for name, slot in keys.slots(type(settings)).items():
        value = getattr(settings, name)
        if slot.shape is Shape.SECTION:
            result[name] = redacted(value)
        elif slot.shape is Shape.SECTIONS:
            result[name] = [redacted(item) for item in value]
        elif slot.shape is Shape.PAIRS:
            result[name] = {
                key: HIDDEN if is_secret_name(key) else redact(text) for key, text in value.items()
            }
        else:
            result[name] = _plain(name, value)
    return result


def as_json(loaded: Loaded) -> str:
    """One JSON object: ``config_file``, ``settings``, ``origins`` and ``warnings``."""
    return json.dumps(
        {
            "config_file": str(loaded.path) if loaded.path else None,
            "settings": redacted(loaded.settings),
            "origins": dict(loaded.origins),
            "warnings": list(loaded.warnings),
        },
        indent=2,
        ensure_ascii=False,
    )


def as_yaml(loaded: Loaded, *, origins: bool = False) -> str:
    """YAML that loads again, except for hidden secrets; with ``origins`` as comments."""
    known = loaded.origins if origins else {}
    return "\n".join(_lines(redacted(loaded.settings), "", "", known)) + "\n"


def yaml_of(data: Mapping[str, Any]) -> str:
    """Plain data of ``redacted``'s shape as YAML."""
    return "\n".join(_lines(data, "", "", {})) + "\n"


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return redact_dsn(secret) if name.endswith("dsn") else HIDDEN * bool(secret)
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def _lines(
    data: Mapping[str, Any], prefix: str, indent: str, origins: Mapping[str, str]
) -> Iterator[str]:
    for name, value in data.items():
        dotted = prefix + name
        if isinstance(value, dict) and value:
            yield f"{indent}{_scalar(name)}:"
            yield from _lines(value, f"{dotted}.", f"{indent}  ", origins)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for index, item in enumerate(value):
                yield f"{indent}  -"
                yield from _lines(item, f"{dotted}.{index}.", f"{indent}    ", origins)
        else:
            line = f"{indent}{_scalar(name)}: {_flow(value)}"
            origin = origins.get(dotted)
            yield f"{line:<{_COLUMN}}  # {origin}" if origin else line


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    if isinstance(value, dict):
        return "{}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=True)
