"""Trusted hashes from archives and RPC servers: what they prove, and how they lie or fail."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from archives import entries_of, packed, write_archive, write_checkpoint
from click.testing import CliRunner, Result
from copying import Site
from rpcserver import RpcState, rpc_server
from servers.web import serving
from stellar_sdk import xdr as x

from bronze_tui.audit.history import checkpoint_name
from bronze_tui.commands.verify import command
from bronze_tui.domain.errors import BronzeError, UsageError
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import write_tiny_lake

PASSPHRASE = PASSPHRASES["testnet"]
FIRST, LAST = 64, 191
CUT = {"era.ledger_start": FIRST, "era.ledger_end": LAST, "era.partition_size": 32}
Entries = dict[int, bytes]


def make_site(root: Path, seed: int = 0) -> Site:
    write_tiny_lake(root / "lake", first=FIRST, count=128, network_passphrase=PASSPHRASE, seed=seed)
    site = Site(root, root / "lake", CUT)
    assert site.run().code == 0
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("anchored"))


@pytest.fixture(scope="module")
def entries(site: Site) -> Entries:
    return entries_of(site)


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    """Headers of another history, that agrees with itself."""
    return entries_of(make_site(tmp_path_factory.mktemp("forged"), seed=1))


def run(site: Site, *args: object) -> Result:
    texts = [str(site.pas), "--data", str(site.data), "--level", "ledger", "--no-memory"]
    return CliRunner().invoke(command, [*texts, *map(str, args)])


def anchored(site: Site, *sources: object, code: int = 0) -> dict[str, Any]:
    args = [word for source in sources for word in ("--anchors", source)]
    result = run(site, "--json", *args)
    if isinstance(result.exception, BronzeError):
        raise result.exception
    assert result.exit_code == code, result.output
    return dict(json.loads(result.output))


def wrong(doc: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in doc["depth"]["findings"] if f["severity"] == "error"]


def proven(doc: dict[str, Any]) -> list[tuple[int, int]]:
    return [(r["start"], r["end"]) for r in doc["depth"]["proven"]]


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
def test_a_local_archive_proves_all(
    site: Site, entries: Entries, tmp_path: Path, passphrase: str | None
) -> None:
    root = write_archive(tmp_path / "archive", entries, passphrase)
    doc = anchored(site, root)
    assert proven(doc) == [(FIRST, LAST)]
    assert (doc["depth"]["anchors"], doc["depth"]["anchors_matched"]) == (1, 1)
    origin = {"kind": "history archive", "where": str(root), "ledgers": 1}
    assert doc["depth"]["anchored_by"] == [origin]
    text = run(site, "--anchors", root).output
    assert f"trusted     history archive {root}: 1 hash\n" in text
    assert "anchored    64-191: hashes proven by a trusted one" in text
    assert "the word of one host or folder" in text
    assert "No trusted ledger hash" not in text


def test_an_archive_over_http_beside_a_folder(site: Site, entries: Entries, tmp_path: Path) -> None:
    root = write_archive(tmp_path / "archive", entries, PASSPHRASE)
    with serving(root) as web:
        doc = anchored(site, root, web.url + "/")
        assert proven(doc) == [(FIRST, LAST)]
        assert doc["depth"]["anchors"] == 1, "both say the same"
        assert [o["where"] for o in doc["depth"]["anchored_by"]] == [str(root), web.url]
        assert "the word of 2 hosts or folders" in " ".join(doc["depth"]["limits"])
        assert web.asked.count("/" + checkpoint_name(191)) == 1, "one file answers all"


def test_a_made_up_history_meets_an_archive(site: Site, forged: Entries, tmp_path: Path) -> None:
    doc = anchored(site, write_archive(tmp_path, forged, PASSPHRASE), code=3)
    (found,) = wrong(doc)
    assert (found["kind"], found["ledgers"]) == ("anchor_mismatch", "191")
    assert found["expected"] == forged[191][:32].hex()
    assert proven(doc) == []


def test_two_archives_that_differ_are_both_named(
    site: Site, entries: Entries, forged: Entries, tmp_path: Path
) -> None:
    one = write_archive(tmp_path / "one", entries, PASSPHRASE)
    two = write_archive(tmp_path / "two", forged, PASSPHRASE)
    doc = anchored(site, one, two, code=3)
    (found,) = wrong(doc)
    assert (found["kind"], found["ledgers"]) == ("anchor_disagreement", "191")
    assert str(one) in found["message"]
    assert str(two) in found["message"]
    assert (found["expected"], found["found"]) == (entries[191][:32].hex(), forged[191][:32].hex())
    assert proven(doc) == [], "neither is believed"


def test_a_file_that_an_archive_contradicts(
    site: Site, entries: Entries, forged: Entries, tmp_path: Path
) -> None:
    file = tmp_path / "trusted.json"
    file.write_text(json.dumps([[191, forged[191][:32].hex()], [100, entries[100][:32].hex()]]))
    archive = write_archive(tmp_path / "archive", entries, PASSPHRASE)
    doc = anchored(site, file, archive, code=3)
    assert {f["kind"] for f in wrong(doc)} == {"anchor_disagreement"}
    assert "the file of trusted hashes" in wrong(doc)[0]["message"]
    assert proven(doc) == [(FIRST, 100)], "what nobody contradicts still counts"


def test_an_archive_that_ends_before_the_data(site: Site, entries: Entries, tmp_path: Path) -> None:
    older = {n: e for n, e in entries.items() if n <= 127}
    doc = anchored(site, write_archive(tmp_path, older, PASSPHRASE))
    assert proven(doc) == [(FIRST, 127)]


def test_an_archive_that_has_nothing_of_the_data(
    site: Site, entries: Entries, tmp_path: Path
) -> None:
    root = write_archive(tmp_path, entries, PASSPHRASE)
    state = root / ".well-known" / "stellar-history.json"
    state.write_text(json.dumps({"currentLedger": 63, "networkPassphrase": PASSPHRASE}))
    doc = anchored(site, root)
    assert proven(doc) == []
    assert doc["depth"]["anchored_by"][0]["ledgers"] == 0
    assert "No trusted ledger hash was given" in " ".join(doc["depth"]["limits"])


def resealed(entry: bytes, at: int) -> bytes:
    """One bit of the header changed, and its hash made to agree."""
    header = bytearray(entry[32:-4])
    header[at] ^= 1
    return hashlib.sha256(header).digest() + bytes(header) + entry[-4:]


def damaged(entries: Entries, case: str) -> bytes:
    window = [entries[n] for n in range(128, 192)]
    whole = packed(window)
    if case == "forged header":
        window[-1] = window[-1][:40] + bytes([window[-1][40] ^ 1]) + window[-1][41:]
    elif case == "resealed header":
        window[-2] = resealed(window[-2], 8)
    elif case == "other ledgers":
        window = [entries[n] for n in range(64, 128)]
    elif case == "one short":
        window = window[1:]
    elif case == "signature":
        # The signature is the last variable part before fixed ones: find it by its length.
        place = window[-1].index(b"\0\0\0\x40", 80) + 10
        window[-1] = resealed(window[-1], place - 32)
    elif case == "truncated":
        return whole[:-20]
    elif case == "no gzip":
        return b"<html>"
    elif case == "trailing":
        return whole + whole
    elif case == "bomb":
        return gzip.compress(bytes(64 << 20))
    elif case == "record mark":
        return gzip.compress(b"".join(window))
    return packed(window)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("forged header", "SHA-256 of the header is"),
        ("resealed header", "ledger 190 does not link"),
        ("other ledgers", "header of ledger 64 stands where 128 belongs"),
        ("one short", "63 headers, and 64"),
        ("signature", "the signature of ledger 191 is not one of this network"),
        ("truncated", "cut off"),
        ("no gzip", "no gzip file"),
        ("trailing", "bytes follow the gzip file"),
        ("bomb", "unpacks to more than"),
        ("record mark", "record mark"),
    ],
)
def test_an_archive_that_is_forged_or_damaged(
    site: Site, entries: Entries, tmp_path: Path, case: str, why: str
) -> None:
    root = write_archive(tmp_path / "archive", entries, PASSPHRASE)
    write_checkpoint(root, 191, damaged(entries, case))
    doc = anchored(site, root, code=3)
    (found,) = wrong(doc)
    assert (found["kind"], found["ledgers"]) == ("anchor_damaged", "191")
    assert why in found["message"]
    assert str(root) in found["message"]
    assert proven(doc) == []


def test_a_file_that_the_archive_lacks(site: Site, entries: Entries, tmp_path: Path) -> None:
    root = write_archive(tmp_path, entries, PASSPHRASE)
    (root / checkpoint_name(191)).unlink()
    doc = anchored(site, root, code=7)
    assert doc["verdict"] == "unread"
    assert [f["kind"] for f in wrong(doc)] == ["anchor_unreadable"]


@pytest.mark.parametrize("theirs", [PASSPHRASES["pubnet"], "x" * 500])
def test_an_archive_of_another_network(
    site: Site, entries: Entries, tmp_path: Path, theirs: str
) -> None:
    root = write_archive(tmp_path, entries, theirs)
    with pytest.raises(UsageError, match="is of network"):
        anchored(site, root)


def test_an_archive_of_another_network_that_does_not_say_so(
    site: Site, entries: Entries, tmp_path: Path
) -> None:
    root = write_archive(tmp_path, entries, None)
    result = run(site, "--json", "--anchors", root, "--network-passphrase", "nobody's")
    kinds = {f["kind"] for f in wrong(json.loads(result.output))}
    assert "anchor_damaged" in kinds


def test_two_archives_of_one_host_are_one_word(
    site: Site, entries: Entries, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        write_archive(tmp_path / name, entries, PASSPHRASE)
    with serving(tmp_path) as web:
        doc = anchored(site, f"{web.url}/one", f"{web.url}/two")
        assert len(doc["depth"]["anchored_by"]) == 2
        assert "the word of one host" in " ".join(doc["depth"]["limits"])


def test_what_goes_with_level_ledger(site: Site, tmp_path: Path) -> None:
    for args in (["--anchors", tmp_path], ["--validators", tmp_path], ["--strict-validators"]):
        result = run(site, "--level", "row", *args)
        assert isinstance(result.exception, UsageError), result.output
        assert "--level ledger" in str(result.exception)
    strict = run(site, "--strict-validators", "--network-passphrase", "nobody's")
    assert "no list of validators" in str(strict.exception)


def test_an_archive_that_nowhere_says_its_network(
    site: Site, entries: Entries, tmp_path: Path
) -> None:
    root = write_archive(tmp_path, entries, None)
    entry = x.LedgerHeaderHistoryEntry.from_xdr_bytes(entries[191])
    entry.header.scp_value.ext = x.StellarValueExt(x.StellarValueType.STELLAR_VALUE_BASIC)
    entry.hash = x.Hash(hashlib.sha256(entry.header.to_xdr_bytes()).digest())
    window = [*(entries[n] for n in range(128, 191)), entry.to_xdr_bytes()]
    write_checkpoint(root, 191, packed(window))
    (found,) = wrong(anchored(site, root, code=3))
    assert found["kind"] == "anchor_damaged"
    assert "says which network" in found["message"]


def test_files_are_counted_apart_and_must_agree(
    site: Site, entries: Entries, forged: Entries, tmp_path: Path
) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, ledgers in zip(paths, ([100], [120, 500]), strict=True):
        hashes = {n: entries.get(n, entries[100])[:32].hex() for n in ledgers}
        path.write_text(json.dumps([[n, text] for n, text in hashes.items()]))
    doc = anchored(site, *paths)["depth"]
    assert [o["ledgers"] for o in doc["anchored_by"]] == [1, 2]
    assert (doc["anchors"], doc["anchors_matched"]) == (3, 2), "one is outside the data"
    paths[1].write_text(json.dumps([[100, forged[100][:32].hex()]]))
    with pytest.raises(UsageError, match="in accord with another file"):
        anchored(site, *paths)


def test_what_is_no_archive(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no history archive"):
        anchored(site, tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        anchored(site, tmp_path / "nothing")
    for text in ("https://user:secret@h/", "https://0x7f.1/", "gopher://h/", "rpc+ftp://h"):
        with pytest.raises(UsageError) as refused:
            anchored(site, text)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://10.0.0.1/a", "https://169.254.169.254/latest"])
def test_addresses_inside_are_not_asked(site: Site, address: str) -> None:
    with pytest.raises(UsageError, match="not asked"):
        anchored(site, address)


def test_names_that_lead_inside_are_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("169.254.169.254", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr("bronze_tui.remote.web._PAUSE", 0.0)
    doc = anchored(site, "https://archive.example/", code=7)
    (finding,) = wrong(doc)
    assert finding["kind"] == "anchor_unreadable"
    assert "resolves to what is not allowed" in finding["message"]


def test_a_web_server_that_fails_or_redirects(site: Site, entries: Entries, tmp_path: Path) -> None:
    root = write_archive(tmp_path, entries, PASSPHRASE)
    with serving(root) as web:
        web.refuse["/" + checkpoint_name(191)] = 403
        (found,) = wrong(anchored(site, web.url, code=7))
        assert "answered 403" in found["message"]
        web.refuse["/.well-known/stellar-history.json"] = 302
        (found,) = wrong(anchored(site, web.url, code=7))
        assert "redirects, which is not followed" in found["message"]


def test_an_rpc_server_proves_all(site: Site, entries: Entries, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "archive", entries, PASSPHRASE)
    with rpc_server(RpcState(PASSPHRASE, {n: entries[n] for n in range(150, 181)})) as server:
        doc = anchored(site, f"rpc+{server.url}")
        assert proven(doc) == [(FIRST, 180)], "the newest that it has"
        origin = doc["depth"]["anchored_by"][0]
        assert origin["where"] == server.url.removesuffix("/rpc"), "a path may hold a key"
        doc = anchored(site, archive, f"rpc+{server.url}")
        assert proven(doc) == [(FIRST, LAST)]
        assert doc["depth"]["anchors"] == 2, "ledger 180 by both, 191 by the archive"


def test_an_rpc_server_that_lies_or_fails(
    site: Site, entries: Entries, forged: Entries, tmp_path: Path
) -> None:
    archive = write_archive(tmp_path / "archive", entries, PASSPHRASE)
    state = RpcState(PASSPHRASE, dict(forged))
    with rpc_server(state) as server:
        (found,) = wrong(anchored(site, archive, f"rpc+{server.url}", code=3))
        assert found["kind"] == "anchor_disagreement"
        state.entries = {**entries, 191: entries[190]}
        (found,) = wrong(anchored(site, f"rpc+{server.url}", code=3))
        assert "two ledgers" in found["message"]
        state.raw = b"<html>"
        (found,) = wrong(anchored(site, f"rpc+{server.url}", code=3))
        assert "none of Stellar RPC's" in found["message"]
        state.raw, state.passphrase = None, PASSPHRASES["pubnet"]
        with pytest.raises(UsageError, match="RPC server is of network"):
            anchored(site, f"rpc+{server.url}")


def test_the_server_of_the_environment_is_told_its_token(
    site: Site, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rpc_server(RpcState(PASSPHRASE, entries)) as server:
        monkeypatch.setenv("BRONZE_RPC_TOKEN", "hush")
        anchored(site, f"rpc+{server.url}")
        assert "authorization" not in server.state.headers[-1], "not its server"
        monkeypatch.setenv("BRONZE_RPC_URL", server.url)
        assert proven(anchored(site, "rpc")) == [(FIRST, LAST)]
        assert server.state.headers[-1]["authorization"] == "Bearer hush"
    monkeypatch.delenv("BRONZE_RPC_URL")
    with pytest.raises(UsageError, match="BRONZE_RPC_URL"):
        anchored(site, "rpc")


def test_what_was_verified_before_meets_the_anchors_of_today(
    site: Site, entries: Entries, forged: Entries, tmp_path: Path
) -> None:
    good = write_archive(tmp_path / "good", entries, PASSPHRASE)
    older = {n: e for n, e in entries.items() if n <= 127}
    short = write_archive(tmp_path / "short", older, PASSPHRASE)
    bad = write_archive(tmp_path / "bad", forged, PASSPHRASE)
    state = ("--json", "--state", tmp_path / "verified", "--anchors")
    for root, recalled, reach in (
        (good, 0, [(FIRST, LAST)]),
        (good, 4, [(FIRST, LAST)]),
        (short, 4, [(FIRST, 127)]),
        (bad, 3, []),
    ):
        doc = json.loads(run(site, *state, root).output)
        assert doc["depth"]["partitions_recalled"] == recalled
        assert proven(doc) == reach
    assert [f["kind"] for f in wrong(doc)] == ["anchor_mismatch"]


def test_a_sample_has_an_anchor_for_each_run(site: Site, entries: Entries, tmp_path: Path) -> None:
    root = write_archive(tmp_path, entries, PASSPHRASE)
    doc = json.loads(run(site, "--json", "--anchors", root, "--subset", "1/2").output)
    assert proven(doc) == [(64, 95), (128, 159)]
