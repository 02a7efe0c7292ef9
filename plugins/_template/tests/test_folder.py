"""The example plugin is listed as active, keeps the source contract, and writes its notes."""

from __future__ import annotations

from pathlib import Path

import pytest
from bronze_source_folder import NOTE_VARIABLE, open_folder

from bronze_tui.domain.errors import ConfigError
from bronze_tui.domain.events import PartitionCommitted
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import LedgerSource, SourceOptions
from bronze_tui.hooks.manager import load_plugins
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.testing.source_contract import SourceContract
from bronze_tui.testing.tiny_lake import find_object, write_tiny_lake

HELD = LedgerRange(2, 70)


def opened(folder: Path) -> LedgerSource:
    return open_folder(SourceOptions(mode="folder", url=folder.as_uri()))


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the ledgers of ``HELD``."""
    lake = write_tiny_lake(tmp_path_factory.mktemp("lake"), first=HELD.start, count=len(HELD))
    folder = tmp_path_factory.mktemp("ledgers")
    for sequence in range(HELD.start, HELD.end + 1):
        frame = find_object(lake.root, sequence).read_bytes()
        (folder / f"{sequence}.xdr").write_bytes(decompress_frame(frame, 1 << 24))
    return folder


class TestFolderSource(SourceContract):
    """Every promise of the source contract."""

    @pytest.fixture
    def source(self, ledgers: Path) -> LedgerSource:
        return opened(ledgers)

    @pytest.fixture
    def empty_source(self, tmp_path: Path) -> LedgerSource:
        return opened(tmp_path)

    @pytest.fixture
    def held(self) -> LedgerRange:
        return HELD


def test_the_plugin_is_listed_as_active() -> None:
    host = load_plugins(needed={"folder"})
    (record,) = [r for r in host.records if r.name == "folder"]
    assert (record.status, record.error) == ("active", "")
    assert record.offers == ("source:folder",)
    assert host.source("folder") is open_folder


def test_a_committed_partition_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTE_VARIABLE, str(tmp_path / "notes"))
    event = PartitionCommitted("testnet/e/v1", "2-9", 8, "sha256:0", 1, 9, 0.1, False)
    load_plugins(needed={"folder"}).notify("bronze_partition_committed", event)
    assert (tmp_path / "notes").read_text() == "testnet/e/v1 2-9 sha256:0\n"


def test_another_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="file:///absolute/path"):
        open_folder(SourceOptions(mode="folder", url="s3://bucket"))
