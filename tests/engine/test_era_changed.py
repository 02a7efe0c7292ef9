"""A configuration that cuts a committed dataset otherwise is refused before anything is built."""

from __future__ import annotations

import pytest
from copying import Site, digests


@pytest.mark.parametrize("start", [10, 17])
def test_another_first_ledger_leaves_nothing(site: Site, start: int) -> None:
    """A commit record or folder that overlaps would stop every later run."""
    assert site.run().code == 0
    before = digests(site.dataset) | digests(site.pas)
    wrong = site.run(era__ledger_start=start)
    assert wrong.code == 5
    assert "overlaps 2-17" in wrong.finished.message
    assert digests(site.dataset) | digests(site.pas) == before
    assert site.run().code == 0


def test_an_earlier_first_ledger_leaves_nothing(site: Site) -> None:
    assert site.run(era__ledger_start=18).code == 0
    before = digests(site.dataset) | digests(site.pas)
    wrong = site.run(era__ledger_start=2)
    assert wrong.code == 5
    assert "lies before ledger 65" in wrong.finished.message
    assert digests(site.dataset) | digests(site.pas) == before
    assert site.run(era__ledger_start=18).code == 0
