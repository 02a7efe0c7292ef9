"""Anchors on the network: submitted to and looked up at an RPC server, and found in ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anchored import VALIDATOR, sealed, with_transaction
from click.testing import CliRunner, Result
from copying import Site
from hypothesis import given, settings
from hypothesis import strategies as st
from rpcserver import CLOSED, RpcServer, RpcState, rpc_server
from stellar_sdk import (
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    Network,
    TransactionEnvelope,
)
from stellar_sdk import xdr as x

from bronze_tui.audit import submit as submission
from bronze_tui.audit.anchor import build_anchor, memo_of
from bronze_tui.audit.note import SigningKey
from bronze_tui.audit.rpc import Rpc
from bronze_tui.audit.signedhead import leaf_hashes, open_head, sign_head
from bronze_tui.audit.submit import Clock, in_words, submit
from bronze_tui.cli import group
from bronze_tui.domain.errors import (
    BronzeError,
    SourceDataError,
    SourceError,
    StoreRefused,
    StoreUnavailable,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.remote.addresses import Named
from bronze_tui.remote.web import Web
from bronze_tui.testing.emitter_contract import make_chain
from bronze_tui.testing.tiny_lake import find_object, make_frame, rewrite, write_tiny_lake
from bronze_tui.testing.tiny_ledgers import demo_ledgers

KEY = SigningKey("example.com/b", bytes(range(32)))
CHAIN = make_chain(3)
SIGNED = sign_head(leaf_hashes(CHAIN), CHAIN[0].chain_key, KEY)
HEAD = open_head(SIGNED, [KEY.verify_key])
PAIR = Keypair.from_raw_ed25519_seed(bytes(range(1, 33)))
TEST = Network.TESTNET_NETWORK_PASSPHRASE
ENVELOPE = build_anchor(HEAD, PAIR.public_key, 41, TEST, fee=100, secret=PAIR.secret)
HASH = TransactionEnvelope.from_xdr(ENVELOPE, TEST).hash_hex()
CODES = x.TransactionResultCode
Answer = dict[str, Any]


def result_of(code: Any) -> str:
    results = [] if code in (CODES.txSUCCESS, CODES.txFAILED) else None
    return x.TransactionResult(
        x.Int64(100), x.TransactionResultResult(code, results=results), x.TransactionResultExt(0)
    ).to_xdr()


def found(envelope: str = ENVELOPE, status: str = "SUCCESS", code: Any = CODES.txSUCCESS) -> Answer:
    return {
        "status": status,
        "ledger": 15,
        "createdAt": str(CLOSED - 5),
        "applicationOrder": 1,
        "feeBump": False,
        "envelopeXdr": envelope,
        "resultXdr": result_of(code),
        "resultMetaXdr": "",
    }


REFUSAL = rb'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"\u001b[31mno"}}'
NOT_FOUND: Answer = {"status": "NOT_FOUND"}


@pytest.fixture
def server() -> Iterator[RpcServer]:
    state = RpcState(TEST, accounts={PAIR.public_key: 41}, sends=[{"status": "PENDING"}])
    state.looks = [NOT_FOUND]
    with rpc_server(state) as running:
        yield running


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BRONZE_ANCHOR_SECRET", "BRONZE_RPC_URL", "BRONZE_RPC_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BRONZE_VKEY", str(KEY.verify_key))
    monkeypatch.setattr(submission, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(submission, "AGAIN_SECONDS", 0.01)
    path = tmp_path / "signed-head"
    path.write_bytes(SIGNED)
    return path


def call(*args: object) -> Result:
    account = ("--account", PAIR.public_key, "--network", "testnet")
    return CliRunner().invoke(group, ["anchor", *map(str, args), *account])


def failure(code: int, *args: object) -> str:
    error = call(*args).exception
    assert isinstance(error, BronzeError), error
    assert error.exit_code == code, error
    return str(error)


def sent(server: RpcServer) -> list[str]:
    return [p["transaction"] for name, p in server.state.asked if name == "sendTransaction"]


def serve_what_is_sent(server: RpcServer, *before: Answer) -> None:
    """The transaction is found as soon as it was sent, after the answers ``before``."""

    def take(envelope: str) -> None:
        server.state.looks = [*before, found(envelope)]

    server.state.on_send = take


class TestSubmit:
    def test_it_is_built_signed_sent_and_seen(
        self, head: Path, server: RpcServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BRONZE_ANCHOR_SECRET", PAIR.secret)
        serve_what_is_sent(server, NOT_FOUND, NOT_FOUND)
        result = call(head, "--submit", "--rpc", server.url)
        assert result.exit_code == 0, result.exception
        assert "anchors example.com/b/" in result.output
        assert "In ledger 15, closed 2025-06-15T15:06:35Z, says http://127.0.0.1:" in result.output
        (envelope,) = sent(server)
        made = TransactionEnvelope.from_xdr(envelope, TEST)
        assert made.transaction.sequence == 42, "asked of the server"
        assert made.transaction.memo.memo_hash == memo_of(HEAD)
        assert made.transaction.preconditions.time_bounds.max_time > 1_700_000_000
        PAIR.verify(made.hash(), made.signatures[0].signature)
        names = server.state.methods()
        assert names[:3] == ["getNetwork", "getLedgerEntries", "sendTransaction"]
        assert names.count("getTransaction") == 3
        assert PAIR.secret not in result.output
        assert PAIR.secret not in str(server.state.asked)
        assert f"handing in transaction {made.hash_hex()}" in result.output

    def test_an_envelope_signed_elsewhere(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        server.state.looks = [found()]
        (tmp_path / "tx").write_text(ENVELOPE + "\n")
        result = call(head, "--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert result.output.count(HASH) == 2
        assert sent(server) == [ENVELOPE]

    def test_what_anchors_something_else_is_not_sent(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        unsigned = build_anchor(HEAD, PAIR.public_key, 41, TEST, fee=100)
        (tmp_path / "tx").write_text(unsigned)
        args = ("--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert "no signature" in failure(3, head, *args)
        assert sent(server) == []

    def test_a_busy_network_is_asked_again(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        server.state.sends = [
            {"status": "TRY_AGAIN_LATER"},
            {"status": "TRY_AGAIN_LATER"},
            {"status": "DUPLICATE"},
        ]
        server.state.looks = [NOT_FOUND, NOT_FOUND, NOT_FOUND, found()]
        (tmp_path / "tx").write_text(ENVELOPE)
        result = call(head, "--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert result.exit_code == 0, result.exception
        assert sent(server) == [ENVELOPE] * 3

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            (CODES.txBAD_SEQ, "sequence number is another by now"),
            (CODES.txBAD_AUTH, "not the account's for this network"),
            (CODES.txINSUFFICIENT_FEE, "raise --fee"),
            (CODES.txINSUFFICIENT_BALANCE, "cannot pay the fee"),
            (CODES.txMALFORMED, "txMALFORMED"),
        ],
    )
    def test_a_refusal_in_words(
        self, head: Path, server: RpcServer, tmp_path: Path, code: Any, why: str
    ) -> None:
        server.state.sends = [{"status": "ERROR", "errorResultXdr": result_of(code)}]
        (tmp_path / "tx").write_text(ENVELOPE)
        args = ("--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert why in failure(1, head, *args)
        server.state.sends = [{"status": "ERROR", "errorResultXdr": "nonsense"}]
        assert "does not say why" in failure(1, head, *args)

    def test_a_sequence_that_our_own_earlier_try_used_up(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        refusal = {"status": "ERROR", "errorResultXdr": result_of(CODES.txBAD_SEQ)}
        server.state.sends, server.state.looks = [refusal], [found()]
        (tmp_path / "tx").write_text(ENVELOPE)
        args = ("--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert call(head, *args).exit_code == 0

    def test_a_ledger_took_it_and_it_failed(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        server.state.looks = [found(status="FAILED", code=CODES.txFAILED)]
        (tmp_path / "tx").write_text(ENVELOPE)
        args = ("--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert "txFAILED: its operation failed" in failure(1, head, *args)

    def test_a_server_that_gives_another_transaction(
        self, head: Path, server: RpcServer, tmp_path: Path
    ) -> None:
        other = build_anchor(HEAD, PAIR.public_key, 50, TEST, fee=100, secret=PAIR.secret)
        server.state.looks = [found(other)]
        (tmp_path / "tx").write_text(ENVELOPE)
        args = ("--submit", "--signed", tmp_path / "tx", "--rpc", server.url)
        assert "the server gives transaction" in failure(3, head, *args)

    def test_a_server_of_another_network_is_sent_nothing(
        self, head: Path, server: RpcServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BRONZE_ANCHOR_SECRET", PAIR.secret)
        server.state.passphrase = Network.PUBLIC_NETWORK_PASSPHRASE
        assert "the server is of network" in failure(2, head, "--submit", "--rpc", server.url)
        assert server.state.methods() == ["getNetwork"]

    def test_an_account_that_does_not_exist(
        self, head: Path, server: RpcServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.state.accounts = {}
        assert "does not exist" in failure(2, head, "--rpc", server.url)

    def test_the_sequence_is_asked_without_sending(self, head: Path, server: RpcServer) -> None:
        made = call(head, "--rpc", server.url).output
        assert TransactionEnvelope.from_xdr(made, TEST).transaction.sequence == 42
        assert sent(server) == []


def rpc_of(server: RpcServer) -> Rpc:
    named = Named("--rpc", "--allow-private")
    return Rpc(Web(server.url, most=1 << 20, named=named, pause=lambda _: None))


class TestDoubt:
    """With a clock of the test's own: waiting takes no time."""

    def clock(self) -> Clock:
        now = [0.0]

        def pause(seconds: float) -> None:
            now[0] += seconds

        return Clock(lambda: now[0], pause)

    def ask(self, server: RpcServer, until: int = 0) -> Any:
        return submit(rpc_of(server), ENVELOPE, HASH, until=until, timeout=30.0, clock=self.clock())

    def test_what_is_seen_in_no_ledger_is_not_called_refused(self, server: RpcServer) -> None:
        with pytest.raises(StoreUnavailable, match="accepted, and in no ledger after 30 s") as e:
            self.ask(server)
        assert "--transaction" in e.value.todo
        assert 10 < server.state.methods().count("getTransaction") < 20

    def test_what_is_never_accepted(self, server: RpcServer) -> None:
        server.state.sends = [{"status": "TRY_AGAIN_LATER"}]
        with pytest.raises(StoreUnavailable, match=r"not accepted.*asks to try again later"):
            self.ask(server)
        assert 3 < len(sent(server)) < 8, "once a ledger, not more"

    def test_a_time_that_is_over_is_certain(self, server: RpcServer) -> None:
        with pytest.raises(StoreRefused, match="none will"):
            self.ask(server, until=CLOSED - 1)
        with pytest.raises(StoreUnavailable):
            self.ask(server, until=CLOSED + 1)

    def test_a_server_that_fails_for_a_while(self, server: RpcServer) -> None:
        server.state.status = 503
        with pytest.raises(StoreUnavailable, match=r"not accepted.*answered 503"):
            self.ask(server)


class TestLookUp:
    def test_by_its_hash(self, head: Path, server: RpcServer) -> None:
        server.state.looks = [found()]
        said = call(head, "--transaction", HASH, "--rpc", server.url).output
        assert said.startswith(f"OK  transaction {HASH} anchors ")
        assert "the server's word" in said
        assert dict(server.state.asked)["getTransaction"] == {"hash": HASH}

    def test_beside_an_envelope_and_by_the_environment(
        self, head: Path, server: RpcServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.state.looks = [found()]
        (tmp_path / "tx").write_text(ENVELOPE)
        monkeypatch.setenv("BRONZE_RPC_URL", server.url)
        monkeypatch.setenv("BRONZE_RPC_TOKEN", "hush")
        result = call(head, "--check", tmp_path / "tx", "--rpc", "rpc")
        assert "In ledger 15" in result.output
        assert {h["authorization"] for h in server.state.headers} == {"Bearer hush"}
        assert "hush" not in result.output
        assert "/rpc" not in result.output, "the path may hold a key"

    def test_the_fee_bump_around_it(self, head: Path, server: RpcServer) -> None:
        payer = Keypair.from_raw_ed25519_seed(bytes(32))
        inner = TransactionEnvelope.from_xdr(ENVELOPE, TEST)
        bump = FeeBumpTransactionEnvelope(FeeBumpTransaction(payer, 400, inner), TEST)
        bump.sign(payer)
        server.state.looks = [found(bump.to_xdr())]
        for text in (bump.hash_hex(), HASH):
            assert call(head, "--transaction", text, "--rpc", server.url).exit_code == 0
        (head.parent / "tx").write_text(bump.to_xdr())
        assert call(head, "--check", head.parent / "tx", "--rpc", server.url).exit_code == 0
        assert server.state.asked[-1] == ("getTransaction", {"hash": bump.hash_hex()})

    @pytest.mark.parametrize(
        ("looked", "why"),
        [
            (NOT_FOUND, "in none of the ledgers 10-20"),
            (found(status="FAILED", code=CODES.txFAILED), "failed (txFAILED"),
            (found(code=CODES.txFAILED), "failed (txFAILED"),
            (found("AAAA"), "not a transaction envelope"),
            (
                found(build_anchor(HEAD, PAIR.public_key, 41, TEST, fee=100)),
                "no signature",
            ),
            (
                found(build_anchor(HEAD, PAIR.public_key, 7, TEST, fee=100, secret=PAIR.secret)),
                "the server gives transaction",
            ),
        ],
    )
    def test_what_proves_nothing(
        self, head: Path, server: RpcServer, looked: Answer, why: str
    ) -> None:
        server.state.looks = [looked]
        assert why in failure(3, head, "--transaction", HASH, "--rpc", server.url)

    def test_a_server_that_answers_nonsense(self, head: Path, server: RpcServer) -> None:
        args = (head, "--transaction", HASH, "--rpc", server.url)
        server.state.looks = [{**found(), "envelopeXdr": None}]
        assert "lacks ledger, envelope or result" in failure(5, *args)
        server.state.raw = REFUSAL
        said = failure(5, *args)
        assert "refused the request (-32601: \\x1b[31mno)" in said
        assert "\x1b" not in said
        server.state.raw = b"[" * 100_000
        assert "none of Stellar RPC's" in failure(5, *args)
        server.state.raw, server.state.status = b"moved", 302
        assert "redirects" in failure(7, *args)

    def test_usage(self, head: Path, tmp_path: Path) -> None:
        assert "BRONZE_RPC_URL" in failure(2, head, "--transaction", HASH)
        assert "64 hex digits" in failure(2, head, "--transaction", "zz")
        assert "--submit goes" in failure(2, head, "--submit", "--transaction", HASH)
        assert "--signed goes" in failure(2, head, "--signed", tmp_path / "x")
        assert "--ledger goes" in failure(2, head, "--ledger", "5", "--sequence", "1")
        assert "nothing signs" in failure(2, head, "--submit", "--rpc", "http://127.0.0.1:1/")
        url = "https://user:secret@rpc.example/"
        assert "secret" not in failure(2, head, "--transaction", HASH, "--rpc", url)
        inside = ("--transaction", HASH, "--rpc", "http://10.1.2.3/")
        assert "--allow-private" in failure(2, head, *inside)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_answer_breaks_the_client(fuzzed: RpcServer, data: bytes) -> None:
    fuzzed.state.raw = data
    rpc = rpc_of(fuzzed)
    for ask in (
        rpc.passphrase,
        rpc.window,
        lambda: rpc.header(5),
        lambda: rpc.sequence(PAIR.public_key),
        lambda: rpc.send(ENVELOPE),
        lambda: rpc.transaction(HASH),
    ):
        with pytest.raises(SourceError):
            ask()
    rpc.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = ("status", "latestLedger", "oldestLedger", "ledger", "envelopeXdr", "resultXdr")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1))
def test_no_field_breaks_the_client(fuzzed: RpcServer, fields: Answer) -> None:
    fuzzed.state.raw = None
    fuzzed.state.looks = [{**found(), **fields}]
    rpc = rpc_of(fuzzed)
    try:
        looked = rpc.transaction(HASH)
    except SourceDataError:
        pass
    else:
        assert looked.status in ("SUCCESS", "FAILED", "NOT_FOUND")
        assert in_words(looked.result_xdr)
    rpc.close()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[RpcServer]:
    with rpc_server(RpcState(TEST)) as running:
        yield running


DEMO = {
    ledger.version: ledger.data
    for ledger in demo_ledgers(LedgerRange(2, 41), TEST, 0)
    if ledger.tx_count >= 2
}


class TestLedger:
    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_the_ledger_that_took_it(self, head: Path, tmp_path: Path, version: int) -> None:
        file = tmp_path / "ledger.xdr"
        file.write_bytes(with_transaction(DEMO[version], TEST, ENVELOPE, HASH))
        (tmp_path / "tx").write_text(ENVELOPE)
        said = call(head, "--check", tmp_path / "tx", "--ledger", file).output
        assert "transaction set and results give it" in said
        assert f"signed by {VALIDATOR.public_key}, whom no list knows" in said
        alone = call(head, "--transaction", HASH, "--ledger", file)
        assert alone.output == said, "the envelope is the ledger's own"

    def test_in_a_lake_and_in_a_copy_of_it(
        self, head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_tiny_lake(tmp_path / "lake", first=2, count=7, network_passphrase=TEST)

        def take(batch: bytes) -> bytes:
            return batch[:12] + with_transaction(batch[12:], TEST, ENVELOPE, HASH)

        rewrite(tmp_path / "lake", 8, take)
        settings = {"era.ledger_end": 8, "era.partition_size": 4}
        site = Site(tmp_path, tmp_path / "lake", settings)
        assert site.run().code == 0
        (parquet,) = site.table.glob("range=6-8/*.parquet")
        sets = [word for pair in site.sets() for word in ("--set", pair)]
        for place in ([find_object(tmp_path / "lake", 8)], [parquet], ["8", *sets]):
            said = call(head, "--transaction", HASH, "--ledger", *place)
            assert said.exit_code == 0, said.exception
            assert "In ledger 8, closed " in said.output
        (before,) = site.table.glob("range=2-5/*.parquet")
        for place in ([before], ["7", *sets]):
            args = (head, "--transaction", HASH, "--ledger", *place)
            assert "in no ledger of it" in failure(3, *args)
        before.write_bytes(parquet.read_bytes()[:-9])
        args = ("--transaction", HASH, "--ledger", before)
        assert "no partition of ledgers" in failure(5, head, *args)

    def test_a_ledger_that_lies(self, head: Path, tmp_path: Path) -> None:
        file = tmp_path / "ledger.xdr"
        args = ("--transaction", HASH, "--ledger", file)
        bad = with_transaction(DEMO[2], TEST, ENVELOPE, HASH, code=CODES.txBAD_SEQ)
        file.write_bytes(bad)
        assert "failed (txBAD_SEQ)" in failure(3, head, *args)
        sound = with_transaction(DEMO[2], TEST, ENVELOPE, HASH)
        meta = x.LedgerCloseMeta.from_xdr_bytes(sound)
        meta.v2.ledger_header.header.fee_pool = x.Int64(1)
        file.write_bytes(meta.to_xdr_bytes())
        assert "is forged: its header gives" in failure(3, head, *args)
        foreign = sealed(x.LedgerCloseMeta.from_xdr_bytes(sound), "another network")
        file.write_bytes(foreign)
        assert "is not one of this network" in failure(3, head, *args)
        meta = x.LedgerCloseMeta.from_xdr_bytes(DEMO[2])
        result = meta.v2.tx_processing[0].result
        result.transaction_hash = x.Hash(bytes.fromhex(HASH))
        file.write_bytes(meta.to_xdr_bytes())
        assert "the transaction set has not" in failure(3, head, *args)

    def test_what_is_compressed_is_read(self, head: Path, tmp_path: Path) -> None:
        file = tmp_path / "ledger.xdr.zst"
        file.write_bytes(make_frame(with_transaction(DEMO[1], TEST, ENVELOPE, HASH)))
        assert call(head, "--transaction", HASH, "--ledger", file).exit_code == 0
