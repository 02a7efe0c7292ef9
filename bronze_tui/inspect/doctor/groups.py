"""The one list of checks: the command and the screen's preflight take theirs from here."""

from __future__ import annotations

from bronze_tui.inspect.doctor import (
    audit,
    catalog,
    clock,
    dataset,
    endpoint,
    machine,
    plugins,
    source,
    store,
)
from bronze_tui.inspect.doctor.examine import Group

GROUPS = (
    Group("plugins", plugins.checks),
    Group("source", source.checks, after=("plugins",)),
    Group("store", store.checks, after=("plugins",), cleans=True),
    Group("dataset", dataset.checks),
    Group("catalog", catalog.checks),
    Group("audit", audit.checks, cleans=True),
    Group("endpoint", endpoint.checks),
    Group("machine", machine.checks, after=("source",)),
    Group("clock", clock.checks, after=("source", "endpoint", "catalog")),
)
"""In the order in which they are shown."""
