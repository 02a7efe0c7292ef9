"""Checks: each kind of damage is named by its own check, and nothing else is blamed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from copying import Site
from inspecting import KEY, rewrite, setup_of

from bronze_tui.inspect.inspector import Inspector

Row = dict[str, Any]


def states(site: Site, sequence: int) -> dict[str, str]:
    inspector = Inspector(setup_of(site))
    reply = inspector.checks(KEY, sequence)
    inspector.close()
    return {check["name"]: check["state"] for check in reply["checks"]}


GOOD = {"bytes": "ok", "header": "ok", "link": "ok", "range": "ok", "columns": "ok"}


def test_sound_ledgers_pass_over_partition_borders(inspector: Inspector) -> None:
    for sequence in range(3, 66):
        reply = inspector.checks(KEY, sequence)
        assert {c["name"]: c["state"] for c in reply["checks"]} == GOOD, sequence


def test_the_first_ledger_has_no_one_before_it(copied: Site) -> None:
    assert states(copied, 2) == {**GOOD, "link": "none"}


def _flip(row: Row) -> None:
    xdr = bytearray(row["xdr_bytes"])
    xdr[-9] ^= 1  # inside totalByteSizeOfLiveSorobanState
    row["xdr_bytes"] = bytes(xdr)


def _header_bit(row: Row) -> None:
    """A bit of the header, all hashes of the bytes made right again."""
    from bronze_tui.xdr.header import LedgerReader

    facts = LedgerReader().read(row["xdr_bytes"])
    xdr = bytearray(row["xdr_bytes"])
    xdr[facts.header_end - 5] ^= 1
    row["xdr_bytes"] = bytes(xdr)
    row["xdr_sha256"] = sha256(bytes(xdr)).hexdigest()


def _link(row: Row) -> None:
    row["previous_ledger_hash"] = "0" * 64


def _count(row: Row) -> None:
    row["tx_count"] += 1
    row["fee_pool"] += 1


def _garbage(row: Row) -> None:
    row["xdr_bytes"] = b"\xff" * 40
    row["xdr_sha256"] = sha256(row["xdr_bytes"]).hexdigest()


def _longer(row: Row) -> None:
    row["xdr_bytes"] += bytes(4)
    row["xdr_sha256"] = sha256(row["xdr_bytes"]).hexdigest()


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (_flip, {"bytes"}),
        (_header_bit, {"header"}),
        (_link, {"link", "columns"}),
        (_count, {"columns"}),
        (_garbage, {"decode"}),
        (_longer, {"decode"}),
    ],
)
def test_damage_is_named(own: Site, damage: Callable[[Row], None], wrong: set[str]) -> None:
    rewrite(own, 18, lambda rows: damage(rows[6]))
    found = states(own, 24)
    assert {name for name, state in found.items() if state == "bad"} == wrong


def test_a_changed_hash_breaks_the_link_of_the_next_partition(own: Site) -> None:
    def change(rows: list[Row]) -> None:
        rows[-1]["ledger_hash"] = "ab" * 32

    rewrite(own, 2, change)
    assert states(own, 18)["link"] == "bad"
    assert states(own, 17)["header"] == "bad"


def test_what_differs_is_said_with_both_values(own: Site) -> None:
    rewrite(own, 18, lambda rows: _count(rows[6]))
    inspector = Inspector(setup_of(own))
    columns = next(c for c in inspector.checks(KEY, 24)["checks"] if c["name"] == "columns")
    assert "tx_count is 8, the XDR says 7" in columns["detail"]
    assert "fee_pool" in columns["detail"]
    inspector.close()


def test_an_undecodable_ledger_gives_error_bytes_and_hash(own: Site) -> None:
    from bronze_tui.domain.errors import XdrError

    rewrite(own, 18, lambda rows: _garbage(rows[6]))
    inspector = Inspector(setup_of(own))
    with pytest.raises(XdrError, match="ledger 24"):
        inspector.node(KEY, 24, [])
    dump = inspector.dump(KEY, 24, None, 0, 4096)
    assert dump["hex"] == "ff" * 40
    assert dump["sha256"] == sha256(b"\xff" * 40).hexdigest()
    assert inspector.ledger(KEY, 24)["columns"]["ledger_sequence"] == 24
    assert inspector.node(KEY, 25, [])["self"]["more"]
    inspector.close()


def test_a_row_that_is_not_in_its_partition(own: Site) -> None:
    def change(rows: list[Row]) -> None:
        rows[6]["ledger_sequence"] = 99

    rewrite(own, 18, change)
    inspector = Inspector(setup_of(own))
    from bronze_tui.domain.errors import StateError

    with pytest.raises(StateError, match="lacks ledger 24"):
        inspector.ledger(KEY, 24)
    inspector.close()
