"""The validators that signed real ledgers are on the lists that come along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stellar_sdk import StrKey
from stellar_sdk.xdr import LedgerCloseMeta

from bronze_tui.audit.levels.pinned import pinned_validators
from bronze_tui.commands.ledger import ledgers_in_file
from bronze_tui.domain.networks import PASSPHRASES

LAKE = Path(os.environ.get("BRONZE_SHARED", "../shared")) / "lake"


@pytest.mark.parametrize(
    ("network", "name"),
    [("pubnet", "Blockdaemon Validator 1"), ("testnet", "SDF testnet 2")],
)
def test_who_signed_real_ledgers_is_known(network: str, name: str) -> None:
    objects = sorted((LAKE / network).rglob("*.xdr.z*"))
    if not objects:
        pytest.skip("no real ledgers here (BRONZE_SHARED)")
    for _, xdr, facts in ledgers_in_file(objects[0]):
        meta = LedgerCloseMeta.from_xdr_bytes(xdr[facts.start : facts.end])
        header = (meta.v0 or meta.v1 or meta.v2).ledger_header.header
        key = header.scp_value.ext.lc_value_signature.node_id.node_id.ed25519.uint256
        known = pinned_validators(PASSPHRASES[network])
        assert known[StrKey.encode_ed25519_public_key(key)].startswith(name)
