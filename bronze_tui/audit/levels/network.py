"""Level ``ledger``: a ledger's bytes against the hashes and the signature in its own header.

What a header does not cover is said by ``trust.LIMITS``.
"""

from __future__ import annotations

from hashlib import sha256

from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.unit import Outcome
from bronze_tui.domain.ledger import LedgerFacts
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.xdr.proof import SIGNED, LedgerProof, ProofReader, signed_value


class NetworkCheck:
    """Judges ledgers; one for each thread."""

    def __init__(self, trust: Trust, network: str) -> None:
        from nacl.bindings import crypto_sign_open
        from nacl.exceptions import CryptoError

        self._open, self._bad = crypto_sign_open, CryptoError
        self._reader = ProofReader()
        self._anchors = trust.anchors_of(network)
        passphrase = trust.passphrase_of(network)
        self._network_id = sha256(passphrase.encode()).digest() if passphrase else b""
        self._addresses: dict[bytes, str] = {}

    def check(self, out: Outcome, file: str, sequence: int, xdr: memoryview) -> LedgerFacts:
        """Judge one ledger.

        Raises:
            XdrError: the bytes are no LedgerCloseMeta.
        """
        proof = self._reader.read(xdr)
        facts = proof.facts
        for kind, what, computed, stated in (
            ("ledger_hash", "the ledger hash", proof.header_hash, facts.ledger_hash),
            ("tx_set_hash", "the header's hash", proof.tx_set_hash, facts.tx_set_hash),
            ("result_hash", "the header's hash", proof.result_hash, proof.header_result_hash),
        ):
            if computed != stated:
                out.add(
                    kind,  # type: ignore[arg-type]
                    f"{_PARTS[kind]} does not give {what}",
                    ledger=sequence,
                    file=file,
                    expected=stated.hex(),
                    found=computed.hex(),
                    cause="the ledger's bytes are not those that the network closed",
                )
        self._anchor(out, file, sequence, proof)
        self._signature(out, file, sequence, proof)
        return facts

    def _anchor(self, out: Outcome, file: str, sequence: int, proof: LedgerProof) -> None:
        trusted = self._anchors.get(sequence)
        if trusted is None:
            return
        if trusted == proof.header_hash.hex():
            out.anchors[sequence] = trusted
            return
        out.add(
            "anchor_mismatch",
            "the ledger is not the one that the trusted anchor names",
            ledger=sequence,
            file=file,
            expected=trusted,
            found=proof.header_hash.hex(),
            cause="the history here is made up, or the anchors are of another network",
        )

    def _signature(self, out: Outcome, file: str, sequence: int, proof: LedgerProof) -> None:
        if proof.value_type != SIGNED:
            out.unsigned += 1
            return
        if not self._network_id:
            out.unchecked += 1
            return
        if not self._valid(proof, self._network_id):
            self._invalid(out, file, sequence, proof)
            return
        address = self._address(proof.node)
        out.signers[address] += 1
        out.first_signed.setdefault(address, sequence)

    def _invalid(self, out: Outcome, file: str, sequence: int, proof: LedgerProof) -> None:
        cause = "transaction set, close time or signature were altered"
        for name in ("pubnet", "testnet", "futurenet"):
            other = sha256(PASSPHRASES[name].encode()).digest()
            if other != self._network_id and self._valid(proof, other):
                cause = f"the ledger was signed for {name}: rows of another network"
        out.add(
            "signature",
            "the validator's signature over transaction set and close time is not valid",
            ledger=sequence,
            file=file,
            expected=f"a signature by {self._address(proof.node)}",
            found=proof.signature.hex(),
            cause=cause,
        )

    def _valid(self, proof: LedgerProof, network_id: bytes) -> bool:
        facts = proof.facts
        message = signed_value(network_id, facts.tx_set_hash, facts.close_time)
        if len(proof.signature) != 64:
            return False
        try:
            self._open(proof.signature + message, proof.node)
        except self._bad:
            return False
        return True

    def _address(self, node: bytes) -> str:
        found = self._addresses.get(node)
        if found is None:
            from stellar_sdk import StrKey

            found = self._addresses[node] = StrKey.encode_ed25519_public_key(node)
        return found


_PARTS = {
    "ledger_hash": "SHA-256 of the header",
    "tx_set_hash": "SHA-256 of the transaction set",
    "result_hash": "SHA-256 of the transaction results",
}
