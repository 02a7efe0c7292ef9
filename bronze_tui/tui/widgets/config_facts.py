"""What the config page writes: effective values with their origins, and what each key means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.content import Content

from bronze_tui.config import keys, reference, show
from bronze_tui.config.load import Loaded
from bronze_tui.config.models import Settings
from bronze_tui.tui.session import Session
from bronze_tui.tui.widgets.figures import count, line, pairs, part, stack
from bronze_tui.tui.widgets.rows import Cell

IDENTITY = ("network", "era_id", "version_label")
CUT = ("ledger_start", "partition_size")


@dataclass(frozen=True, slots=True)
class Entry:
    """One effective value; secrets are hidden in ``value``."""

    key: str
    value: str
    origin: str
    changed: bool
    """Other than the default."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is committed of one era."""

    chain_key: str
    partitions: int
    cut: tuple[int, int] | None
    """First ledger and partition size it was begun with."""


def entries(loaded: Loaded) -> list[Entry]:
    """Every key in the order of ``bronze config show``."""
    default = dict(_leaves(show.redacted(Settings()), ""))
    return [
        Entry(
            key,
            value,
            loaded.origins.get(key, "default"),
            default.get(key) != value if key in default else True,
        )
        for key, value in _leaves(show.redacted(loaded.settings), "")
    ]


def matches(entry: Entry, text: str) -> bool:
    """Whether every word of ``text`` stands in the key, value or origin."""
    whole = f"{entry.key} {entry.value} {entry.origin}".lower()
    return all(word in whole for word in text.lower().split())


def cells(entry: Entry, standing: Standing | None) -> list[Cell]:
    """A row of the table."""
    mark = lock_word(entry.key, standing)
    return [
        (entry.key, "" if entry.changed else "muted"),
        (_shown(entry.value, 200), "accent" if entry.changed else ""),
        (_shown(entry.origin, 60), "muted" if entry.origin == "default" else ""),
        (mark, "worry"),
    ]


def standing_of(key: str, loaded: Loaded, found: Mapping[str, Standing]) -> Standing | None:
    """What is committed of the era that ``key`` belongs to."""
    settings = loaded.settings
    parts = key.split(".")
    if parts[0] == "era" and len(parts) == 2 and not settings.eras:
        era = settings.era
    elif parts[0] == "eras" and len(parts) == 3 and parts[1].isdigit():
        era = settings.eras[int(parts[1])]
    else:
        return None
    standing = found.get(f"{era.network}/{era.era_id}/{era.version_label}")
    return standing if standing is not None and standing.partitions else None


def lock_word(key: str, standing: Standing | None) -> str:
    """``locked``, ``identity`` or nothing."""
    name = key.rpartition(".")[2]
    if standing is None:
        return ""
    return "locked" if name in CUT else "identity" if name in IDENTITY else ""


def detail(entry: Entry, standing: Standing | None) -> Content:
    """Meaning, type, default, variable, note on the Go copier, and what locks it."""
    slot = keys.find(entry.key)
    rows = [part(entry.key, "strong"), line("")]
    facts: list[tuple[str, str | Content]] = [
        ("now", part(entry.value or '""', "accent" if entry.changed else "", 4_000)),
        ("set by", part(entry.origin)),
    ]
    if slot is not None:
        means = reference.meaning(slot)
        rows += [part(means.text), line("")]
        variable = means.variable or "none"
        facts = [
            ("type", part(means.kind)),
            ("default", part(means.default or "empty")),
            *facts,
            ("variable", part(variable)),
            ("flag", part(f"--set {entry.key}=...")),
            ("Go copier", part(_go(means.go))),
        ]
    rows.append(pairs(facts, 11))
    return stack([*rows, *_lock(entry.key, standing)])


def _go(relation: str) -> str:
    if relation == "ours":
        return "does not know this key"
    return "the same" if relation == "same" else relation


def _lock(key: str, standing: Standing | None) -> Iterator[Content]:
    word = lock_word(key, standing)
    if standing is None or not word:
        return
    yield line("")
    many = f"{count(standing.partitions)} partitions of {standing.chain_key} are committed"
    if word == "locked":
        yield line(("LOCKED BY COMMIT RECORDS", "worry"))
        cut = standing.cut
        how = f", {count(cut[1])} ledgers each, counted from ledger {count(cut[0])}" if cut else ""
        yield part(f"{many}{how}.")
        yield line("Another value is refused at start, for partitions would never line up again.")
        yield line("Use a new version_label to copy with another cut.")
    else:
        yield line(("IDENTITY OF THE DATASET", "worry"))
        yield part(f"{many} under it.")
        yield line("Another value begins another dataset and another audit chain; these stay.")


def _leaves(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value):
                yield from _leaves(item, f"{key}.{number}.")
        else:
            yield key, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def nothing(config_file: str) -> Content:
    """What stands where values would; ``config_file`` as the run named it."""
    rows = [
        line(("No configuration here", "strong")),
        line(""),
        line("This view was opened on a journal or a folder, not on a configuration."),
    ]
    if config_file:
        rows.append(line("The run was started with ", part(config_file), "."))
    return stack([*rows, line(""), line(("bronze attach --config FILE shows one", "muted"))])


def other_places(session: Session) -> str:
    """That the run's folders are not those of the file; see ``Session.overridden``."""
    data = session.data_root or "a store elsewhere"
    pas = session.pas_dir or "none"
    return (
        "the run was started with other values than this file has: "
        f"its data is in {data}, its audit folder is {pas}"
    )


def _shown(text: str, limit: int) -> str:
    return part(text, limit=limit).plain


SIGNS = {
    "ok": ("[ok]  ", "good"),
    "warn": ("[warn]", "worry"),
    "fail": ("[FAIL]", "bad"),
    "none": ("[--]  ", "muted"),
}


def finding_lines(findings: Sequence[Mapping[str, Any]]) -> Content:
    """Findings by group, as ``bronze doctor`` prints them: what is wrong has its reason and what to
    do below it."""
    order = list(dict.fromkeys(str(found["group"]) for found in findings))
    rows = []
    for found in sorted(findings, key=lambda found: order.index(str(found["group"]))):
        state = str(found["state"])
        sign, tone = SIGNS.get(state, SIGNS["none"])
        said = part(found["text"], tone if state in ("warn", "fail") else "", 300)
        row = line((sign, tone), " ", part(f"{found['group']:<9}", "muted"), " ", said)
        if found["detail"] and state == "ok":
            row = line(row, "  ", part(found["detail"], "muted", 300))
        rows.append(row)
        below = [found["detail"]] if state != "ok" else []
        rows += [
            line(" " * 17, part(text, "muted", 1_000)) for text in [*below, found["todo"]] if text
        ]
    return stack(rows)


def preflight_title(checks: Sequence[Mapping[str, Any]]) -> str:
    """``PREFLIGHT  7 ok  1 FAILED``."""
    words = []
    said = {"ok": "ok", "warn": "warnings", "fail": "FAILED", "none": "not tried"}
    for state, word in said.items():
        number = sum(check["state"] == state for check in checks)
        words += [f"{number} {word}"] if number else []
    return "  ".join(["PREFLIGHT", *words])
