"""The effective configuration as a file that can be used again: secrets are ``${NAME}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from bronze_tui.config import keys, show
from bronze_tui.config.load import Loaded
from bronze_tui.config.redact import holds_secret, is_secret_name


@dataclass(frozen=True, slots=True)
class Effective:
    """YAML without secrets, and the environment variables that it needs."""

    text: str
    variables: tuple[str, ...]


def effective(loaded: Loaded) -> Effective:
    """Every value as it is in force.

    A value that was written as a reference stays one; a secret that stood in the file, the
    environment or ``--set`` becomes a reference to its variable.
    """
    variables: list[str] = []

    def reference(dotted: str) -> str:
        written = loaded.references.get(dotted)
        if written is not None and not _tells(dotted, written):
            variables.extend(re.findall(r"(?<!\$)\$\{([^}]*)\}", written))
            return written
        name = _variable(dotted, loaded.origins.get(dotted, ""))
        variables.append(name)
        return f"${{{name}}}"

    data = _replaced(
        show.redacted(loaded.settings), loaded.settings.model_dump(), "", loaded, reference
    )
    lines = ["# The effective configuration; `bronze validate --config FILE` checks it."]
    if variables:
        lines.append(f"# Set in the environment: {', '.join(dict.fromkeys(variables))}")
    text = "\n".join([*lines, show.yaml_of(data)])
    return Effective(text, tuple(dict.fromkeys(variables)))


def _replaced(shown: Any, real: Any, dotted: str, loaded: Loaded, reference: Any) -> Any:
    """``shown`` with hidden texts as references and literal ``${`` escaped."""
    if isinstance(shown, Mapping):
        below = f"{dotted}." if dotted else ""
        return {
            name: _replaced(value, real[name], f"{below}{name}", loaded, reference)
            for name, value in shown.items()
        }
    if isinstance(shown, list):
        return [
            _replaced(value, item, f"{dotted}.{number}", loaded, reference)
            for number, (value, item) in enumerate(zip(shown, real, strict=True))
        ]
    plain = real.get_secret_value() if isinstance(real, SecretStr) else real
    if dotted in loaded.references or (isinstance(plain, str) and plain != shown):
        return reference(dotted)
    return shown.replace("${", "$${") if isinstance(shown, str) else shown


def _tells(dotted: str, written: str) -> bool:
    """Whether a text with references holds a secret beside them."""
    rest = re.sub(r":?\$\{[^}]*\}", "", written)
    section, _, name = dotted.rpartition(".")
    return holds_secret(rest) or (
        bool(rest) and section.endswith(".options") and is_secret_name(name)
    )


def _variable(dotted: str, origin: str) -> str:
    """The variable a secret came from, or the Go copier's for that key, or one of its own."""
    if origin.startswith("environment "):
        return origin.removeprefix("environment ")
    slot = keys.find(dotted)
    if slot is not None and slot.key.env and not dotted.startswith("eras."):
        return slot.key.env
    return re.sub(r"[^A-Z0-9]+", "_", f"BRONZE_{dotted.upper()}")
