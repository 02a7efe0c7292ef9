"""The bytes of three small partitions, kept: what changes them breaks every rebuild of what is
published already."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from copying import Site

from bronze_tui.tables.body import read_body
from bronze_tui.testing.tiny_lake import write_tiny_lake

LIBRARY = "26.0.1"
"""The version of pyarrow whose files these are."""

BODIES = {
    "2-17": "sha256:3c9b60485943825880e39908925988e7322ec55cce3d4c10018d2b826744942e",
    "18-33": "sha256:d92737498f53dbb5e8d21e71b0b95fe0374778f22ef9978062c58d2290d66b40",
    "34-49": "sha256:ec2ac895acf4c80d34752350ce950bd577ab0a462a4edfae731ceb29cb301ecd",
}
"""``created_by`` left out: the same with every version of pyarrow."""

FILES = {
    "2-17": "sha256:962005db7affc9674de34d2c301befe60179329c3d23d514dd3bc241f03dc76e",
    "18-33": "sha256:f16cd0177fc6f5fbf26b6868942201b968d5783acef8202c439d227cf4c4f18d",
    "34-49": "sha256:aadeb3e4652aef1bdd6811651a2b06050d063749f79099d470a0ce243cb47037",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("golden")
    write_tiny_lake(root / "lake", count=48)
    site = Site(root, root / "lake", {"era.ledger_end": 49})
    assert site.run().code == 0
    return site


def test_bodies(site: Site) -> None:
    found = {path.stem.removeprefix("part-"): read_body(path).digest for path in site.parquet()}
    assert found == BODIES


@pytest.mark.skipif(pa.__version__ != LIBRARY, reason=f"files of pyarrow {LIBRARY} were kept")
def test_files(site: Site) -> None:
    def digest(path: Path) -> str:
        return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()

    found = {path.stem.removeprefix("part-"): digest(path) for path in site.parquet()}
    assert found == FILES
