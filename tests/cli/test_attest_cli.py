"""Attestations as somebody else makes them and an auditor judges them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from copying import Site, digests
from forging import change_rows, copy_of, events, write_chain

from bronze_tui.cli import group
from bronze_tui.domain.errors import BronzeError, UsageError
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import remove, write_tiny_lake

CUT = {"era.ledger_end": 17, "era.partition_size": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("made")
    write_tiny_lake(root / "lake", count=16, network_passphrase=PASSPHRASES["testnet"])
    site = Site(root, root / "lake", CUT)
    assert site.run().code == 0
    return site


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    return copy_of(made, tmp_path / "site")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BRONZE_SIGNING_KEY", "BRONZE_VKEY"):
        monkeypatch.delenv(name, raising=False)


class Auditor:
    """Somebody with a key."""

    def __init__(self, root: Path, name: str) -> None:
        self.key = root / f"{name}.key"
        self.vkey = bronze("key", "new", f"example.com/{name}", "--out", self.key).stdout.strip()
        self.file = root / f"{name}.txt"

    def attest(self, site: Site, *args: object, wanted: str = "all") -> Result:
        place = (site.pas, "--data", site.data, "--from", site.lake)
        return call("rebuild", wanted, *place, "--attest", self.file, "--key", self.key, *args)


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    return Auditor(tmp_path, "auditor")


def call(*args: object) -> Result:
    """The command, with the exit code that the program would have."""
    result = CliRunner().invoke(group, list(map(str, args)), standalone_mode=False)
    if isinstance(result.exception, BronzeError):
        result.exit_code = int(result.exception.exit_code)
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    elif isinstance(result.return_value, int):
        result.exit_code = int(result.return_value)
    return result


def bronze(*args: object) -> Result:
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result


def verify(auditor: Auditor, *args: object) -> Result:
    return call("verify", *args, "--attestation", auditor.file, "--vkey", auditor.vkey)


def test_made_and_verified(site: Site, auditor: Auditor) -> None:
    before = digests(site.root)
    assert auditor.attest(site).exit_code == 0
    assert digests(site.root) == before
    for args in ((), (site.pas,)):
        result = verify(auditor, *args)
        assert result.exit_code == 0, result.output
        assert "4 IDENTICAL" in result.output
    assert "chain       " in result.output
    assert result.output.startswith("OK  1 attestation(s) by 1 signer(s) about 4 partition(s)")
    text = auditor.file.read_text()
    for event in events(site):
        (_, table), *_ = event.tables
        line = f"partition {event.chain_key} {event.partition} IDENTICAL {event.event_hash} "
        assert f"{line}{table.checksum} sha256:" in text
    assert f"lake {site.lake.as_uri()}\n" in text


def test_the_json_report(site: Site, auditor: Auditor) -> None:
    auditor.attest(site, wanted="2-9")
    doc = json.loads(verify(auditor, site.pas, "--json").stdout)
    assert (doc["verdict"], doc["chain"]) == ("ok", "ok")
    assert [part["ledgers"] for part in doc["attestations"][0]["partitions"]] == ["2-5", "6-9"]
    assert doc["rebuilt_by"][0]["signers"] == ["example.com/auditor"]
    assert doc["attestations"][0]["range"] == "2-9"


def test_two_parties(site: Site, auditor: Auditor, tmp_path: Path) -> None:
    other = Auditor(tmp_path, "other")
    auditor.attest(site)
    other.attest(site, wanted="2-5")
    both = ("--attestation", other.file, "--vkey", other.vkey)
    result = verify(auditor, site.pas, *both)
    assert result.exit_code == 0, result.output
    assert "1 partition(s) found sound by 2 signer(s)" in result.output
    assert "3 partition(s) found sound by 1 signer(s)" in result.output
    doc = json.loads(verify(auditor, site.pas, *both, "--json").stdout)
    assert doc["rebuilt_by"][0]["signers"] == ["example.com/auditor", "example.com/other"]
    twice = verify(auditor, site.pas, "--attestation", auditor.file)
    assert "4 partition(s) found sound by 1 signer(s)" in twice.output


def test_an_altered_one(site: Site, auditor: Auditor) -> None:
    change_rows(site, "6-9", lambda rows: rows[:-1])
    assert auditor.attest(site).exit_code == 3
    altered = auditor.file.read_text().replace(" DIFFERENT ", " IDENTICAL ")
    auditor.file.chmod(0o644)
    auditor.file.write_text(altered)
    result = verify(auditor)
    assert result.exit_code == 3
    assert "the signature of example.com/auditor is wrong" in str(result.exception)
    doc = json.loads(verify(auditor, "--json").stdout)
    assert doc["verdict"] == "broken"


def test_what_was_found_different_is_told(site: Site, auditor: Auditor) -> None:
    change_rows(site, "6-9", lambda rows: rows[:-1])
    auditor.attest(site)
    result = verify(auditor, site.pas)
    assert result.exit_code == 3
    assert "DIFFERENT testnet/first/v1 6-9" in result.output
    assert "3 IDENTICAL, 1 DIFFERENT" in result.output


def test_another_key(site: Site, auditor: Auditor, tmp_path: Path) -> None:
    auditor.attest(site)
    stranger = Auditor(tmp_path, "stranger")
    result = call("verify", "--attestation", auditor.file, "--vkey", stranger.vkey)
    assert result.exit_code == 3
    assert "no trusted key signed it" in str(result.exception)
    assert call("verify", "--attestation", auditor.file).exit_code == 2


def test_a_rewritten_chain(site: Site, auditor: Auditor) -> None:
    auditor.attest(site)
    change_rows(site, "6-9", lambda rows: [{**row, "fee_pool": 1} for row in rows])
    result = verify(auditor, site.pas)
    assert result.exit_code == 3
    assert result.output.count("AGAINST THE CHAIN") == 3, "the event before is still the same"
    assert "was rewritten" in result.output


def test_a_chain_with_a_cut_tail_and_a_broken_one(site: Site, auditor: Auditor) -> None:
    auditor.attest(site)
    chain = events(site)
    write_chain(site, chain[:3])
    result = verify(auditor, site.pas)
    assert result.exit_code == 3
    assert "AGAINST THE CHAIN testnet/first/v1 14-17" in result.output
    write_chain(site, chain)
    next(site.pas.glob("*_6-9.json")).unlink()
    result = verify(auditor, site.pas, "--no-memory")
    assert result.exit_code == 3
    assert "BROKEN" in result.output


def test_what_could_not_be_read_is_not_attested(site: Site, auditor: Auditor) -> None:
    remove(site.lake, 8)
    assert auditor.attest(site).exit_code == 7
    doc = json.loads(verify(auditor, "--json").stdout)
    found = [part["ledgers"] for part in doc["attestations"][0]["partitions"]]
    assert found == ["2-5", "10-13", "14-17"]


def test_nothing_to_attest(site: Site, auditor: Auditor) -> None:
    remove(site.lake, 8)
    result = auditor.attest(site, wanted="6-9")
    assert result.exit_code == 7
    assert "nothing was found that could be attested" in result.stderr
    assert not auditor.file.exists()


def test_without_events_it_is_about_no_chain(site: Site, auditor: Auditor) -> None:
    pas = site.root / "elsewhere"
    site.pas.rename(pas)
    place = (site.dataset, "--from", site.lake, "--attest", auditor.file, "--key", auditor.key)
    bronze("rebuild", "all", *place)
    assert verify(auditor).exit_code == 0
    result = verify(auditor, pas)
    assert result.exit_code == 3
    assert "names no event" in result.output


def test_a_part_is_said_to_be_one(site: Site, auditor: Auditor) -> None:
    auditor.attest(site, "--subset", "1/2")
    assert "range all, subset 1/2\n" in auditor.file.read_text()
    assert verify(auditor, site.pas).exit_code == 0


def refused(result: Result) -> str:
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


def test_refusals(site: Site, auditor: Auditor, tmp_path: Path) -> None:
    place: tuple[Any, ...] = ("rebuild", "all", site.pas, "--data", site.data, "--from", site.lake)
    assert "no signing key" in refused(call(*place, "--attest", auditor.file))
    auditor.file.write_text("evidence")
    assert "may be evidence" in refused(auditor.attest(site))
    assert auditor.file.read_text() == "evidence"
    auditor.file = site.data / "bronze" / "mine.txt"
    assert "inside the dataset" in refused(auditor.attest(site))
    auditor.file = tmp_path / "nowhere" / "mine.txt"
    assert "no such folder" in refused(auditor.attest(site))
    auditor.file = tmp_path / "mine.txt"
    auditor.key.chmod(0o644)
    assert "others can read" in refused(auditor.attest(site))
    auditor.key.chmod(0o600)
    bronze(*place, "--attest", auditor.file, "--key", auditor.key)
    assert "--level" in refused(verify(auditor, site.pas, "--level", "row"))
    assert "not both" in refused(verify(auditor, "--proof", auditor.file))
    assert call("verify", "--attestation", tmp_path / "no", "--vkey", auditor.vkey).exit_code == 7


@pytest.mark.parametrize("data", [b"", b"\xff", b"x\n\n\xe2\x80\x94 a b\n", b"\n" * 100])
def test_what_is_no_attestation(auditor: Auditor, data: bytes) -> None:
    auditor.file.write_bytes(data)
    assert verify(auditor).exit_code == 3


def test_events_elsewhere_than_data(site: Site, auditor: Auditor) -> None:
    """The folder of events is all that an auditor of attestations needs."""
    auditor.attest(site)
    shutil.rmtree(site.data)
    shutil.rmtree(site.lake)
    assert verify(auditor, site.pas).exit_code == 0
