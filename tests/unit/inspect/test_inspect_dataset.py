"""Committed partitions: what counts as one, which holds a ledger, what stands next to it."""

from __future__ import annotations

import json
import shutil

import pytest
from copying import Site
from inspecting import COMMITTED, KEY

from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.inspect.dataset import Dataset, find_datasets


def dataset(site: Site) -> Dataset:
    [found] = find_datasets(site.data, "bronze/")
    return found


def test_partitions_are_those_with_a_commit_record(own: Site) -> None:
    (own.dataset / "_commits" / "18-33.json").unlink()
    found = dataset(own)
    assert [str(r) for r in found.ranges] == ["2-17", "34-49", "50-65"]
    assert found.at(20) is None


def test_a_go_dataset_without_records_is_read_by_its_manifests(own: Site) -> None:
    shutil.rmtree(own.dataset / "_commits")
    found = dataset(own)
    assert len(found.ranges) == 4
    record = found.committed(LedgerRange(2, 17))
    assert record.proof == "manifest"
    assert record.rows == 16
    assert found.cut() is None


def test_a_commit_record_says_file_rows_and_time(copied: Site) -> None:
    record = dataset(copied).committed(LedgerRange(18, 33))
    assert record.proof == "commit record"
    assert record.created_at == COMMITTED
    assert record.path.is_file()
    assert record.byte_size == record.path.stat().st_size
    assert dataset(copied).cut() == (2, 16)


@pytest.mark.parametrize(
    ("sequence", "step", "expected"),
    [(17, 1, 34), (34, -1, 17), (3, 1, 4), (65, 1, None), (2, -1, None), (25, 1, 34), (25, -1, 17)],
)
def test_neighbours_jump_over_borders_and_gaps(
    own: Site, sequence: int, step: int, expected: int | None
) -> None:
    (own.dataset / "_commits" / "18-33.json").unlink()
    assert dataset(own).next_to(sequence, step) == expected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"tables": {}}', '{"tables": {"ledgers_lcm_raw": 5}}']
)
def test_a_damaged_record_is_an_error_that_names_it(own: Site, text: str) -> None:
    record = own.dataset / "_commits" / "2-17.json"
    record.chmod(0o644)
    record.write_text(text)
    with pytest.raises(StateError, match="2-17"):
        dataset(own).committed(LedgerRange(2, 17))


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", ""])
def test_a_record_cannot_lead_out_of_its_folder(own: Site, name: str) -> None:
    record = own.dataset / "_commits" / "2-17.json"
    doc = json.loads(record.read_bytes())
    doc["tables"]["ledgers_lcm_raw"]["file"] = name
    record.chmod(0o644)
    record.write_text(json.dumps(doc))
    with pytest.raises(StateError, match="outside its folder"):
        dataset(own).committed(LedgerRange(2, 17))


def test_configured_eras_come_first_and_other_names_are_ignored(own: Site) -> None:
    base = own.data / "bronze"
    shutil.copytree(base / KEY, base / "pubnet/zz/v9")
    (base / "not a name" / "x" / "y" / "_commits").mkdir(parents=True)
    (base / "testnet/first/v1/_commits/hello.json").write_text("{}")
    keys = [d.chain_key for d in find_datasets(own.data, "bronze/", [KEY])]
    assert keys == [KEY, "pubnet/zz/v9"]
    assert len(dataset_of(own, KEY).ranges) == 4


def dataset_of(site: Site, key: str) -> Dataset:
    return next(d for d in find_datasets(site.data, "bronze/") if d.chain_key == key)


def test_nothing_there_is_no_dataset(own: Site) -> None:
    assert find_datasets(own.data / "missing", "bronze/") == []
