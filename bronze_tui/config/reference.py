"""The table of every key for ``docs/configuration.md``, written from the models.

``python -m bronze_tui.config.reference`` rewrites that page's table and ``config.schema.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr

from bronze_tui.config import keys, schema
from bronze_tui.config.keys import Shape, Slot
from bronze_tui.config.models import Settings

BEGIN = "<!-- keys: begin (python -m bronze_tui.config.reference) -->"
END = "<!-- keys: end -->"
_HEAD = "| key | type | default | variable | meaning | Go copier |\n|---|---|---|---|---|---|"
_SIZE_KEYS = frozenset({"max_ledger_bytes", "memory_budget"})


def tables() -> str:
    """One Markdown table for each section."""
    parts = []
    top = [(n, s) for n, s in keys.slots(Settings).items() if s.model is None]
    parts.append("### Top level\n\n" + _table([(name, slot) for name, slot in top]))
    for name, slot in keys.slots(Settings).items():
        if slot.model is not None:
            below = "[]" if slot.shape is Shape.SECTIONS else ""
            rows = list(keys.leaves(slot.model, f"{name}{below}."))
            about = slot.field.description
            parts.append(f"### `{name}`\n\n{about}\n\n{_table(rows)}")
    return "\n\n".join(parts)


def page(text: str) -> str:
    """``text`` with what stands between its markers replaced by the tables.

    Raises:
        ValueError: the page lacks the markers.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a key is, in words; ``variable`` is empty where the Go copier has none."""

    kind: str
    default: str
    variable: str
    text: str
    go: str


def meaning(slot: Slot) -> Meaning:
    """A key as the table has it, without Markdown."""
    return Meaning(
        kind=_kind(slot).replace("`", ""),
        default=_default(slot).replace("`", ""),
        variable=slot.key.env,
        text=slot.field.description or "",
        go=_relation(slot),
    )


def _table(rows: list[tuple[str, Slot]]) -> str:
    return "\n".join([_HEAD, *(_row(dotted, slot) for dotted, slot in rows)])


def _row(dotted: str, slot: Slot) -> str:
    variable = f"`{slot.key.env}`" if slot.key.env else ""
    cells = (
        f"`{dotted}`",
        _kind(slot),
        _default(slot),
        variable,
        slot.field.description or "",
        _relation(slot),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _relation(slot: Slot) -> str:
    if slot.key.ours:
        return "ours"
    return f"differs: {slot.key.differs}" if slot.key.differs else "same"


def _kind(slot: Slot) -> str:
    annotation: Any = slot.field.annotation
    if slot.shape is Shape.TEXTS:
        return "list of names"
    if slot.shape is Shape.PAIRS:
        return "names and texts"
    if annotation is SecretStr:
        return "text, secret"
    if slot.name in _SIZE_KEYS:
        return "byte size"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" if word else "empty" for word in get_args(annotation))
    base = _base(annotation)
    if base is bool:
        return "true or false"
    if base is float:
        return "seconds"
    return f"whole number{_range(slot)}" if base is int else "text"


def _base(annotation: Any) -> Any:
    options = [a for a in get_args(annotation) if a is not type(None)]
    return _base(options[0]) if options else annotation


def _range(slot: Slot) -> str:
    low = next((m.ge for m in slot.field.metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in slot.field.metadata if hasattr(m, "le")), None)
    return f", {low} to {high}" if high is not None else ""


def _default(slot: Slot) -> str:
    if slot.field.is_required():
        return "required"
    value = slot.field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if slot.name in _SIZE_KEYS:
        return f"{value >> 20}MiB"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main() -> None:
    """Rewrite the generated files of a checkout."""
    root = Path(__file__).resolve().parents[2]
    document = root / "docs" / "configuration.md"
    document.write_text(page(document.read_text("utf-8")), "utf-8")
    (root / "config.schema.json").write_text(schema.as_text(), "utf-8")


if __name__ == "__main__":
    main()
