"""What the plugins page writes of a plugin's record; all text of a plugin is literal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from bronze_tui.domain.text import safe_text
from bronze_tui.hooks.records import DISABLE_VARIABLE
from bronze_tui.tui.widgets.figures import hms, line, pairs, part, stack
from bronze_tui.tui.widgets.rows import Cell

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.journal.views import Notice

Record = Mapping[str, Any]

STATUS = {
    "active": ("● active", "good"),
    "listed": ("○ listed", "muted"),
    "failed": ("✗ FAILED", "bad"),
    "disabled": ("- disabled", "muted"),
    "quarantined": ("✗ QUARANT.", "bad"),
}
STAGES = {
    "name": "while its name was looked at",
    "import": "while it was imported",
    "version": "because it is made for another hook API",
    "register": "while it registered",
    "pending": "because it has a hook that does not exist",
    "call": "when one of its hooks was called",
}
FIXES = {
    "name": "uninstall one of the two packages, or disable this one",
    "import": "install what it lacks into this environment, or disable it",
    "version": "install a release of it for this version of bronze",
    "register": "tell its author; disable it until it is mended",
    "pending": "tell its author; disable it until it is mended",
    "call": "see the error; disable it until it is mended",
}
_HOOKS = "bronze_"


def uses(records: Sequence[Record], loaded: Loaded | None) -> dict[str, list[str]]:
    """Plugin name to what the configuration uses it as: source, store, emitter, required."""
    if loaded is None:
        return {}
    settings = loaded.settings
    wanted = {
        f"source:{settings.source.mode}": "source",
        f"store:{settings.storage.backend}": "store",
    }
    if settings.pas.enabled:
        wanted["emitter:file"] = "emitter"
    found: dict[str, list[str]] = {}
    for record in records:
        roles = [role for offer, role in wanted.items() if offer in record["offers"]]
        roles += ["required"] if record["name"] in settings.plugins.required else []
        if roles:
            found[record["name"]] = roles
    return found


def cells(record: Record, roles: Sequence[str]) -> list[Cell]:
    """A row of the table."""
    word, tone = STATUS.get(record["status"], (str(record["status"]), ""))
    milliseconds = record["load_ms"]
    return [
        (_safe(record["name"], 60), "strong" if roles else ""),
        (word, tone),
        (", ".join(roles) or "-", "accent" if roles else "muted"),
        (_package(record), "muted"),
        (str(len(record["offers"])), ""),
        (str(len(record["hooks"])), ""),
        (f"{milliseconds:,.1f}" if milliseconds else "-", "worry" if milliseconds >= 300 else ""),
    ]


def heading(records: Sequence[Record]) -> str:
    """``PLUGINS  4 active  1 failed``."""
    words = []
    for status in STATUS:
        number = sum(record["status"] == status for record in records)
        words += [f"{number} {status}"] if number else []
    return "  ".join(["PLUGINS", *words])


def matches(record: Record, text: str) -> bool:
    """Whether ``text`` stands in the name, package, status or an offer; case does not matter."""
    parts = [record["name"], record["distribution"], record["status"], *record["offers"]]
    return all(word in " ".join(map(str, parts)).lower() for word in text.lower().split())


def detail(
    record: Record, roles: Sequence[str], told: Sequence[Notice], *, traceback: bool
) -> Content:
    """All of a record, its failure first."""
    rows = [part(record["name"], "strong"), *_failure(record), line("")]
    facts: list[tuple[str, str | Content]] = [
        ("package", part(_package(record))),
        ("status", part(record["status"], STATUS.get(record["status"], ("", ""))[1])),
        ("used as", ", ".join(roles) or "nothing in this configuration"),
        ("load time", f"{record['load_ms']:,.1f} ms" if record["load_ms"] else "-"),
    ]
    rows += [pairs(facts, 11), line("")]
    rows += _listed("offers", record["offers"], "nothing was registered")
    rows += _listed("hooks", record["hooks"], "none seen: it was not loaded")
    if record["status"] == "listed":
        why = "Installed, not loaded: name it in plugins.allow, or as a source or store."
        rows += [line(""), line((why, "muted"))]
    if told:
        rows += [line(""), line(("IN THIS RUN", "accent"))]
        rows += [line((f"{hms(n.time)}  ", "muted"), part(n.message)) for n in told[-5:]]
    if record["traceback"]:
        rows += [line(""), line(("TRACEBACK", "accent"), ("  t shows or hides it", "muted"))]
        if traceback:
            rows += [part(text) for text in str(record["traceback"])[:20_000].splitlines()]
    return stack(rows)


def by_hook(records: Sequence[Record]) -> Content:
    """Every hook somebody implements, and who does."""
    hooks: dict[str, list[str]] = {}
    for record in records:
        for hook in record["hooks"]:
            hooks.setdefault(str(hook), []).append(str(record["name"]))
    if not hooks:
        return line(("no loaded plugin implements a hook", "muted"))
    rows = []
    for hook in sorted(hooks):
        rows.append(part(hook.removeprefix(_HOOKS), "strong"))
        rows += [line("  ", part(name)) for name in hooks[hook]]
    return stack(rows)


def without(record: Record, roles: Sequence[str]) -> tuple[Content, str]:
    """How to start without it, and the command: a running engine has no such switch."""
    name = safe_text(str(record["name"]))
    command = f"bronze run --disable-plugin {shlex.quote(name)}"
    rows = [
        line("A running engine keeps what it has loaded. At the next start:"),
        line(""),
        part(command, "accent"),
        line(""),
        line("or in the configuration file"),
        line(""),
        line(("plugins:", "accent")),
        line(("  disable: [", "accent"), part(_yaml(name), "accent"), ("]", "accent")),
        line(""),
        line("or in the environment"),
        line(""),
        part(f"{DISABLE_VARIABLE}={shlex.quote(name)}", "accent"),
    ]
    if roles:
        what = f"This configuration uses it as {', '.join(roles)}: without it a run does not start."
        rows += [line(""), line((what, "worry"))]
    return stack(rows), command


def _failure(record: Record) -> list[Content]:
    if not record["error"]:
        return []
    stage = str(record["stage"])
    return [
        line(""),
        line(("FAILED ", "bad"), (STAGES.get(stage, stage), "")),
        part(record["error"], "bad", 2_000),
        line(("FIX  ", "accent"), FIXES.get(stage, "disable it")),
    ]


def _listed(name: str, values: Sequence[object], nothing: str) -> list[Content]:
    rows = [line((name, "accent"))]
    rows += [line("  ", part(value)) for value in values]
    return rows if values else [*rows, line((f"  {nothing}", "muted"))]


def _package(record: Record) -> str:
    place = " (in tree)" if record["builtin"] else ""
    return _safe(f"{record['distribution']} {record['version']}{place}".strip(), 120)


def _safe(text: object, limit: int) -> str:
    return safe_text(str(text))[:limit]


def _yaml(name: str) -> str:
    import json

    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)
