"""A configuration that cuts a committed dataset otherwise is refused before anything is built."""

from __future__ import annotations

import shutil

import pytest
from copying import Site, digests


@pytest.mark.parametrize("start", [10, 17])
def test_another_first_ledger_leaves_nothing(site: Site, start: int) -> None:
    """A commit record or folder that overlaps would stop every later run."""
    assert site.run().code == 0
    before = digests(site.dataset) | digests(site.pas)
    wrong = site.run(era__ledger_start=start)
    assert wrong.code == 5
    assert "was cut into partitions of 16 counted from ledger 2" in wrong.finished.message
    assert digests(site.dataset) | digests(site.pas) == before
    assert site.run().code == 0


def test_an_earlier_first_ledger_leaves_nothing(site: Site) -> None:
    assert site.run(era__ledger_start=18).code == 0
    before = digests(site.dataset) | digests(site.pas)
    wrong = site.run(era__ledger_start=2)
    assert wrong.code == 5
    assert "was cut into partitions of 16 counted from ledger 18" in wrong.finished.message
    assert digests(site.dataset) | digests(site.pas) == before
    assert site.run(era__ledger_start=18).code == 0


def test_another_partition_size_is_refused_and_harms_nothing(site: Site) -> None:
    site.run(era__ledger_end=33)
    before = digests(site.data) | digests(site.pas)
    run = site.run(era__partition_size=20)
    assert run.code == 5
    assert "partitions of 16 counted from ledger 2" in run.finished.message
    assert "partitions of 20" in run.finished.message
    assert digests(site.data) | digests(site.pas) == before
    assert site.run().code == 0


def test_another_partition_size_is_refused_after_the_catalog_was_lost(site: Site) -> None:
    site.run(era__ledger_end=33)
    (site.state / "catalog.sqlite").unlink()
    assert site.run(era__partition_size=20).code == 5
    assert site.run().code == 0


def test_a_damaged_heads_file_is_mended_without_new_events(site: Site) -> None:
    site.run()
    heads = site.pas / "pas-chain-heads.json"
    whole = heads.read_bytes()
    heads.unlink()
    heads.write_bytes(b"{")
    assert site.run().code == 0
    assert heads.read_bytes() == whole


def test_a_chain_that_begins_anew_is_told(site: Site) -> None:
    site.run()
    shutil.rmtree(site.pas)
    (site.state / "catalog.sqlite").unlink()
    run = site.run()
    assert run.code == 0
    assert any("the chain begins anew" in a["message"] for a in run.of("alert"))
