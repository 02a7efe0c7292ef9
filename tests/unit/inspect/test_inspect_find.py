"""Searches: a ledger by its hash, a transaction by its hash, with and without the passphrase."""

from __future__ import annotations

from typing import Any

import pytest
from copying import Site
from inspecting import KEY, setup_of
from stellar_sdk import FeeBumpTransactionEnvelope, TransactionEnvelope

from bronze_tui.domain.errors import Stopped
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.inspect import find, tree
from bronze_tui.inspect.inspector import Inspector
from bronze_tui.testing.tiny_lake import DEMO_PASSPHRASE


def go_on(news: dict[str, Any]) -> bool:
    return True


def results(inspector: Inspector, sequence: int) -> list[Any]:
    top = inspector._tree(KEY, sequence)
    fields = tree.children(tree.children(top)[0])
    return list(next(f for f in fields if f.name == "txProcessing").value)


def test_a_ledger_by_the_beginning_of_its_hash(inspector: Inspector) -> None:
    for sequence in (2, 17, 18, 65):
        text = str(inspector.ledger(KEY, sequence)["columns"]["ledger_hash"])
        found = inspector.find_ledger(text[:12], go_on)["found"]
        assert found == {"chain_key": KEY, "sequence": sequence, "hash": text}
    assert inspector.find_ledger("f" * 63, go_on) == {"found": None, "searched": 64}


def test_every_transaction_is_found_with_its_envelope(inspector: Inspector) -> None:
    kinds = set()
    for sequence in range(2, 34):
        for meta in results(inspector, sequence):
            wanted = [meta.result.transaction_hash.hash]
            inner = meta.result.result.result.inner_result_pair
            wanted += [inner.transaction_hash.hash] if inner is not None else []
            for digest in wanted:
                hit = inspector.find_transaction(KEY, digest.hex(), 2, 65, go_on)["found"]
                assert hit is not None
                assert hit["sequence"] == sequence
                assert hit["envelope"] is not None, hit
                node = tree.at(inspector._tree(KEY, sequence), hit["envelope"])
                assert digest in hashes_by_the_sdk(node.value)
                kinds.add(hit["kind"])
    assert kinds == {"transaction", "inner transaction of a fee bump"}


def hashes_by_the_sdk(envelope: Any) -> list[bytes]:
    if envelope.fee_bump is not None:
        bump = FeeBumpTransactionEnvelope.from_xdr_object(envelope, DEMO_PASSPHRASE)
        inner = bump.transaction.inner_transaction_envelope
        return [bump.hash(), inner.hash()]
    return [TransactionEnvelope.from_xdr_object(envelope, DEMO_PASSPHRASE).hash()]


def a_hash(inspector: Inspector, sequence: int) -> str:
    return str(results(inspector, sequence)[0].result.transaction_hash.hash.hex())


def test_the_range_bounds_the_search(inspector: Inspector) -> None:
    wanted = a_hash(inspector, 24)
    assert inspector.find_transaction(KEY, wanted, 25, 65, go_on)["found"] is None
    assert inspector.find_transaction(KEY, wanted, 24, 24, go_on)["searched"] == 1


def test_bytes_that_are_no_transaction_hash_are_only_mentioned(inspector: Inspector) -> None:
    before = str(inspector.ledger(KEY, 30)["columns"]["previous_ledger_hash"])
    reply = inspector.find_transaction(KEY, before, 2, 65, go_on)
    assert reply["found"] is None
    assert 30 in reply["mentioned"]


def test_an_unknown_passphrase_is_said_and_the_result_still_found(copied: Site) -> None:
    from dataclasses import replace

    setup = replace(setup_of(copied), source_url="", passphrase="")
    inspector = Inspector(setup)
    wanted = a_hash(inspector, 24)
    hit = inspector.find_transaction(KEY, wanted, 2, 65, go_on)["found"]
    assert hit["sequence"] == 24
    assert hit["envelope"] is None
    assert "the name testnet" in hit["note"]
    inspector.close()


@pytest.mark.parametrize(
    ("given", "network", "expected"),
    [
        ("mine", "pubnet", ("mine", "configuration")),
        ("", "pubnet", (PASSPHRASES["pubnet"], "the name pubnet")),
        ("", "nobody", ("", "")),
    ],
)
def test_where_a_passphrase_comes_from(given: str, network: str, expected: tuple[str, str]) -> None:
    assert find.passphrase_of(given, "", network) == expected


def test_the_lake_manifest_knows_it(copied: Site) -> None:
    found = find.passphrase_of("", copied.lake.as_uri(), "pubnet")
    assert found == (DEMO_PASSPHRASE, "lake manifest")


def test_a_search_stops_when_nobody_waits(inspector: Inspector) -> None:
    told: list[dict[str, Any]] = []

    def stop(news: dict[str, Any]) -> bool:
        told.append(news)
        return len(told) < 2

    with pytest.raises(Stopped):
        inspector.find_transaction(KEY, "ab" * 32, 2, 65, stop)
    assert len(told) == 2
    with pytest.raises(Stopped):
        inspector.find_ledger("ffff", lambda news: False)
