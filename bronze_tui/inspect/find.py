"""Finds a ledger by its hash and a transaction by its hash.

A transaction's hash stands in the ledger's own results, so it is found without the network's
passphrase; the passphrase is needed only to point at the envelope that hashes to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.inspect import tree

_ENVELOPE_TX, _FEE_BUMP = 2, 5


def passphrase_of(given: str, source_url: str, network: str) -> tuple[str, str]:
    """The network's passphrase and where it is from; empty when nobody knows it."""
    if given:
        return given, "configuration"
    from_lake = _lake_passphrase(source_url)
    if from_lake:
        return from_lake, "lake manifest"
    known = PASSPHRASES.get(network, "")
    return known, f"the name {network}" if known else ""


def _lake_passphrase(url: str) -> str:
    from bronze_tui.domain.errors import BronzeError
    from bronze_tui.lake.keys import MANIFEST_NAME
    from bronze_tui.lake.manifest import MAX_MANIFEST_BYTES, parse_manifest

    if not url.startswith("file://"):
        return ""
    from urllib.parse import unquote

    path = Path(unquote(url.removeprefix("file://"))) / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            return (
                parse_manifest(
                    file.read(MAX_MANIFEST_BYTES + 1), where=str(path)
                ).network_passphrase
                or ""
            )
    except (OSError, BronzeError):
        return ""


def result_path(top: tree.Node, wanted: bytes) -> tuple[tuple[int, ...], str] | None:
    """Path of the result pair of a transaction, and whether it is the inner one of a fee bump."""
    versions = tree.children(top)
    if not versions:
        return None
    for number, field in enumerate(tree.children(versions[0])):
        if field.name != "txProcessing":
            continue
        for index, meta in enumerate(field.value):
            if meta.result.transaction_hash.hash == wanted:
                return (0, number, index), "transaction"
            inner = meta.result.result.result.inner_result_pair
            if inner is not None and inner.transaction_hash.hash == wanted:
                return (0, number, index), "inner transaction of a fee bump"
    return None


def envelope_path(top: tree.Node, wanted: bytes, passphrase: str) -> tuple[int, ...] | None:
    """Path of the envelope that hashes to ``wanted`` on the network of ``passphrase``."""
    network_id = sha256(passphrase.encode()).digest()
    for path, envelope in _envelopes(top):
        for payload in _payloads(envelope):
            if sha256(network_id + payload).digest() == wanted:
                return path
    return None


def _envelopes(top: tree.Node) -> Iterator[tuple[tuple[int, ...], Any]]:
    versions = tree.children(top)
    for number, field in enumerate(tree.children(versions[0]) if versions else ()):
        if field.name == "txSet":
            yield from _below(field, (0, number))


def _below(node: tree.Node, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    if type(node.value).__name__ == "TransactionEnvelope":
        yield path, node.value
        return
    for number, child in enumerate(tree.children(node)):
        yield from _below(child, (*path, number))


def _payloads(envelope: Any) -> Iterator[bytes]:
    """What is hashed after the network's id: the envelope's transaction, and a bump's inner one."""
    if envelope.v0 is not None:
        # The hash of a V0 transaction is that of the same one as V1: its source gets a key type.
        yield _word(_ENVELOPE_TX) + _word(0) + envelope.v0.tx.to_xdr_bytes()
    elif envelope.v1 is not None:
        yield _word(_ENVELOPE_TX) + envelope.v1.tx.to_xdr_bytes()
    elif envelope.fee_bump is not None:
        yield _word(_FEE_BUMP) + envelope.fee_bump.tx.to_xdr_bytes()
        yield _word(_ENVELOPE_TX) + envelope.fee_bump.tx.inner_tx.v1.tx.to_xdr_bytes()


def _word(number: int) -> bytes:
    return number.to_bytes(4, "big")
