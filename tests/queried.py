"""A small committed dataset for the tests of the console, its command and its page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import ClassVar

from copying import Site

from bronze_tui.query.client import Limits, QueryProcess
from bronze_tui.testing.tiny_lake import write_tiny_lake

FIRST, LEDGERS, SIZE = 2, 16, 4

UNGATED = """
import duckdb
from bronze_tui.query import console
console.refusal = lambda sql: ""
console._READS = [duckdb.StatementType(number) for number in range(60)
                  if number in [kind.value for kind in duckdb.StatementType]]
from bronze_tui.query.child import main
main()
"""
"""The child without its courtesy gate: what is refused now is refused by the walls."""


class Ungated(QueryProcess):
    """A console whose gate lets every statement through."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-P", "-c", UNGATED)


def make_site(folder: Path) -> Site:
    """Ledgers 2 to 17 in four partitions, committed by a real run."""
    lake = write_tiny_lake(folder / "lake", first=FIRST, count=LEDGERS)
    site = Site(folder, lake.root, {"era.ledger_end": 17, "era.partition_size": SIZE})
    run = site.run()
    assert run.code == 0, run.finished.message
    return site


def open_console(
    site: Site, kind: type[QueryProcess] = QueryProcess, seconds: float = 60.0
) -> QueryProcess:
    """A console over the site's store."""
    return kind(site.data, "bronze/", site.pas, Limits(memory=256 << 20, seconds=seconds))


def rewrite(path: Path, **changes: object) -> None:
    """Change top-level keys of a JSON file that was written read-only."""
    doc = json.loads(path.read_bytes())
    path.unlink()
    path.write_text(json.dumps({**doc, **changes}))
