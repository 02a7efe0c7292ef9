"""Finds installed plugins from their package metadata; not a line of theirs is run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from bronze_tui.hooks.markers import ENTRY_POINTS
from bronze_tui.hooks.records import DISTRIBUTION, PluginRecord, Switches


def list_plugins(
    *,
    disable: Iterable[str] = (),
    third_party: bool = True,
    env: Mapping[str, str] = os.environ,
) -> list[PluginRecord]:
    """All installed plugins as records; nothing of them is imported."""
    switches = Switches.of(disable, third_party, env)
    return [record for record, _ in discover(switches)]


def discover(switches: Switches) -> Iterator[tuple[PluginRecord, EntryPoint]]:
    """Built-in plugins first; a name that is taken is a record failed at stage ``name``."""
    found = [(_describe(entry), entry) for entry in entry_points(group=ENTRY_POINTS)]
    found.sort(key=lambda pair: (not pair[0].builtin, pair[0].name, pair[0].distribution))
    owners: dict[str, str] = {}
    for record, entry in found:
        owner = owners.setdefault(record.name, record.distribution)
        if owner != record.distribution:
            error = f"the name is taken by {owner}"
            yield replace(record, status="failed", stage="name", error=error), entry
        elif switches.allow(record.name, record.builtin):
            yield record, entry
        else:
            yield replace(record, status="disabled"), entry


def _describe(entry: EntryPoint) -> PluginRecord:
    distribution = entry.dist
    name = distribution.name if distribution is not None else "unknown"
    version = distribution.version if distribution is not None else ""
    return PluginRecord(
        name=entry.name,
        distribution=name,
        version=version,
        status="listed",
        builtin=name.lower().replace("_", "-") == DISTRIBUTION,
    )
