from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.errors import BronzeError, ConfigError, SourceDataError
from bronze_tui.lake.manifest import LakeManifest, check_manifest, parse_manifest, write_manifest

PUBNET = "Public Global Stellar Network ; September 2015"


def manifest(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "networkPassphrase": PUBNET,
        "version": "1.0",
        "compression": "zstd",
        "ledgersPerBatch": 1,
        "batchesPerPartition": 64000,
    }
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value != "gone"}).encode()


def parse(data: bytes) -> LakeManifest:
    return parse_manifest(data, where="lake/.config.json")


def test_known_fields() -> None:
    assert parse(manifest()) == LakeManifest(1, 64000, PUBNET, "1.0", "zstd")


def test_a_real_manifest(shared: Path) -> None:
    found = parse((shared / "lake" / "pubnet" / ".config.json").read_bytes())
    assert (found.ledgers_per_batch, found.batches_per_partition) == (1, 64000)
    assert found.network_passphrase == PUBNET


def test_unknown_fields_and_unknown_version_are_tolerated() -> None:
    found = parse(manifest(version="9.9", colour="blue"))
    assert found.ledgers_per_batch == 1
    assert "9.9" in found.notes[0]
    assert parse(manifest()).notes == ()


def test_text_fields_may_be_absent() -> None:
    bare = parse(manifest(networkPassphrase="gone", version="gone", compression="gone"))
    assert bare == LakeManifest(1, 64000)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (manifest(compression="gzip"), "gzip"),
        (manifest(compression=3), "compression that is not text"),
        (manifest(ledgersPerBatch="gone"), "lacks ledgersPerBatch"),
        (manifest(ledgersPerBatch=0), "ledgersPerBatch that is not"),
        (manifest(ledgersPerBatch=True), "ledgersPerBatch that is not"),
        (manifest(batchesPerPartition="64000"), "batchesPerPartition that is not"),
        (manifest(batchesPerPartition=1 << 40), "batchesPerPartition that is not"),
        (b" " * (2 << 20), "more than"),
    ],
)
def test_broken_manifests(data: bytes, said: str) -> None:
    with pytest.raises(SourceDataError, match=r"lake/\.config\.json") as caught:
        parse(data)
    assert said in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_manifest_or_our_error(data: bytes) -> None:
    try:
        found = parse(data)
    except BronzeError as error:
        said = str(error)
    else:
        said = "lake/.config.json" if found.ledgers_per_batch > 0 else ""
    assert "lake/.config.json" in said


def test_all_differences_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_manifest(
            parse(manifest()),
            where="lake",
            network_passphrase="Test SDF Network ; September 2015",
            ledgers_per_file=64,
            files_per_partition=10,
        )
    assert len(caught.value.problems) == 3
    assert "'Test SDF Network" in caught.value.problems[0]
    assert "source.ledgers_per_file is 64" in caught.value.problems[1]


def test_silence_is_no_difference() -> None:
    check_manifest(parse(manifest()), where="lake")
    check_manifest(
        parse(manifest(networkPassphrase="gone")), where="lake", network_passphrase="anything"
    )


def test_written_manifests_read_back() -> None:
    whole = LakeManifest(64, 10, "Réseau", "1.0", "zstd")
    assert parse(write_manifest(whole)) == whole
    assert json.loads(write_manifest(LakeManifest(1, 2))) == {
        "ledgersPerBatch": 1,
        "batchesPerPartition": 2,
    }
