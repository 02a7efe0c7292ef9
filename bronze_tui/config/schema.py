"""The JSON schema of the configuration, for editors; the loader does not use it."""

from __future__ import annotations

import json
from typing import Any

from bronze_tui.config.models import Settings

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
_SIZE = {"type": "string", "pattern": "^[0-9][0-9_]* ?([KkMmGgTt]?[Ii]?[Bb])?$"}
# What pydantic leaves behind where a bound follows a function.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
_SIZE_KEYS = frozenset({"max_ledger_bytes", "memory_budget"})


def json_schema() -> dict[str, Any]:
    """A draft 2020-12 schema: what YAML editors see where the loader sees text."""
    schema = Settings.model_json_schema()
    for model in [schema, *schema["$defs"].values()]:
        model["properties"] = {
            name: _relaxed(name, prop) for name, prop in model["properties"].items()
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Bronze TUI configuration",
        "description": "Copies raw Stellar ledgers into verified, immutable Bronze Parquet.",
    }


def as_text() -> str:
    """The schema as it is committed and printed."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _relaxed(name: str, prop: dict[str, Any]) -> dict[str, Any]:
    """What the loader also takes: unquoted names, sizes with units, references, nothing."""
    about = {k: v for k, v in prop.items() if k in {"description", "default"}}
    rest = {k: v for k, v in prop.items() if k not in {"description", "default", "title"}}
    if rest.get("type") == "string" and "enum" not in rest and "const" not in rest:
        kinds = {"type": ["string", "number", "boolean", "null"]}
        rest = {k: v for k, v in rest.items() if k in {"minLength", "maxLength"}}
        return {**about, **kinds, **rest}
    choices = rest.pop("anyOf", None) or [rest]
    choices = [
        {_BOUNDS.get(k, k): v for k, v in choice.items()}
        for choice in choices
        if choice != {"type": "null"}
    ]
    if "$ref" in choices[0]:
        about.pop("default", None)
    if name in _SIZE_KEYS:
        choices.append(_SIZE)
    if "$ref" not in choices[0] and choices[0].get("type") not in {"array", "object"}:
        choices.append(_REFERENCE)
    return {**about, "anyOf": [*choices, {"type": "null"}]}
