"""A small copied dataset for the tests of looking into ledgers, and ways to damage a copy of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from copying import Site

from bronze_tui.config.load import Loaded, load
from bronze_tui.inspect.setup import Setup
from bronze_tui.testing.tiny_lake import write_tiny_lake

KEY = "testnet/first/v1"
COMMITTED = "2026-01-12T10:22:21Z"


def copy_dataset(root: Path) -> Site:
    """Ledgers 2 to 65 in four partitions of 16, copied by the engine; times are fixed."""
    write_tiny_lake(root / "lake", first=2, count=64)
    site = Site(root, root / "lake")
    run = site.run()
    assert run.code == 0, run.finished.message
    for record in (site.dataset / "_commits").glob("*.json"):
        doc = json.loads(record.read_bytes())
        doc["created_at"] = COMMITTED
        record.chmod(0o644)
        record.write_text(json.dumps(doc))
    return site


def clone(site: Site, root: Path) -> Site:
    """The same data in folders of its own, which may be damaged."""
    shutil.copytree(site.data, root / "data")
    return Site(root, site.lake)


def loaded_of(site: Site, **changes: Any) -> Loaded:
    """The site's configuration."""
    return load(None, site.sets(**changes), {})


def setup_of(site: Site, **changes: Any) -> Setup:
    """What the reading process is told of the site."""
    return Setup.of(loaded_of(site, **changes), site.data, "bronze/")


def rewrite(site: Site, start: int, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of the partition that begins at ``start``."""
    path = next(p for p in site.parquet() if int(p.stem.split("-")[1]) == start)
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    path.chmod(0o644)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path, row_group_size=5)
