"""What settings mean: eras, addresses, options, paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.config.models import Settings
from bronze_tui.config.resolve import address, partition_count
from bronze_tui.domain.era import Era


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def source_url(**source: Any) -> str:
    return settings(source=source).source_options().url


def test_the_one_era_and_the_list() -> None:
    one = settings(era={"era_id": "e", "ledger_start": 5, "ledger_end": 0})
    assert one.active() == (Era("pubnet", "e", "v1", 5, None, 10_000),)
    many = settings(
        era={"era_id": "unused"},
        eras=[
            {"era_id": "a", "network": "n", "ledger_start": 2, "ledger_end": 9},
            {"era_id": "b", "network": "n", "ledger_start": 10, "partition_size": 4},
        ],
    )
    assert [era.era_id for era in many.active()] == ["a", "b"]
    chosen = many.model_copy(update={"active_eras": ("b",)})
    assert chosen.active() == (Era("n", "b", "v1", 10, None, 4),)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"mode": "local", "local_path": "/a/b c"}, "file:///a/b%20c"),
        ({"mode": "gcs", "gcs_bucket": "b", "gcs_prefix": "/x/y/"}, "gs://b/x/y"),
        ({"mode": "gcs", "gcs_bucket": "b"}, "gs://b"),
        ({"mode": "s3", "s3_bucket": "b", "s3_prefix": "p/"}, "s3://b/p"),
        ({"mode": "datastore", "datastore_type": "GCS", "datastore_path": "b/x/"}, "gs://b/x"),
        ({"mode": "datastore", "datastore_type": "s3", "datastore_path": "b"}, "s3://b"),
        ({"mode": "datastore", "datastore_path": "gs://b/x/"}, "gs://b/x"),
        ({"mode": "datastore", "datastore_path": "/lake"}, "file:///lake"),
        ({"mode": "datastore", "datastore_type": "S3", "datastore_path": "/lake"}, "file:///lake"),
        ({"mode": "datastore", "datastore_path": "https://h/x"}, "https://h/x"),
        ({"mode": "datastore", "url": "az://c/x/", "datastore_path": "b"}, "az://c/x"),
        ({"mode": "local", "url": "file:///"}, "file:///"),
        ({"mode": "rpc"}, ""),
        ({"mode": "rpc", "url": "https://rpc/"}, "https://rpc"),
    ],
)
def test_source_urls(source: dict[str, str], url: str) -> None:
    assert source_url(**source) == url


def test_relative_paths_count_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_url(local_path="./lake") == (tmp_path / "lake").as_uri()
    filesystem = {"mode": "datastore", "datastore_type": "Filesystem", "datastore_path": "lake"}
    assert source_url(**filesystem) == (tmp_path / "lake").as_uri()
    defaults = settings()
    assert defaults.store_options().url == (tmp_path / "data").as_uri()
    assert defaults.state_dir() == tmp_path / "state"
    assert defaults.catalog_path() == tmp_path / "state" / "catalog.sqlite"
    assert defaults.store_options().staging_dir == tmp_path / "state" / "staging"
    assert defaults.emitter_options().backup_dir == tmp_path / "pas-backup"
    elsewhere = settings(catalog={"path": "c.db"}, checkpoint={"dir": "/s"})
    assert elsewhere.catalog_path() == tmp_path / "c.db"
    assert elsewhere.state_dir() == Path("/s")


@pytest.mark.parametrize(
    ("storage", "url"),
    [
        ({"backend": "gcs", "gcs_bucket": "b"}, "gs://b"),
        ({"backend": "s3", "s3_bucket": "b"}, "s3://b"),
        ({"backend": "s3", "url": "s3://c/"}, "s3://c"),
        ({"backend": "fsspec"}, ""),
    ],
)
def test_store_urls(storage: dict[str, str], url: str) -> None:
    assert settings(storage=storage).store_options().url == url


def test_both_names_of_region_and_endpoint() -> None:
    go = {"mode": "s3", "s3_bucket": "b", "s3_region": "r", "s3_endpoint": "http://h:1"}
    options = settings(source=go).source_options()
    assert (options.region, options.endpoint, options.path_style) == ("r", "http://h:1", True)
    ours = {**go, "region": "q", "endpoint": "https://i", "path_style": "no"}
    options = settings(source=ours).source_options()
    assert (options.region, options.endpoint, options.path_style) == ("q", "https://i", False)
    store = {"backend": "s3", "s3_bucket": "b", "s3_endpoint": "http://h:1", "anonymous": "yes"}
    stored = settings(storage=store).store_options()
    assert (stored.path_style, stored.anonymous) == (True, True)
    assert settings().source_options().path_style is None


def test_options_reach_the_factories() -> None:
    everything = settings(
        source={"mode": "x", "ledgers_per_file": "1", "files_per_partition": 64000}
        | {"requester_pays": "true", "network_passphrase": "P", "options": {"b": "2", "a": "1"}},
        pas={"endpoint": "https://h/e", "strict": "true", "options": {"k": "v"}},
    )
    source, emitter = everything.source_options(), everything.emitter_options()
    assert (source.mode, source.ledgers_per_file, source.files_per_partition) == ("x", 1, 64000)
    assert (source.requester_pays, source.network_passphrase) == (True, "P")
    assert source.extra == (("a", "1"), ("b", "2"))
    assert (emitter.endpoint, emitter.strict, emitter.extra) == ("https://h/e", True, (("k", "v"),))


def test_defaults_of_perf_follow_the_go_copier() -> None:
    perf = settings(
        perf={"max_in_flight_partitions": "0", "retry_attempts": "0", "retry_backoff_ms": "0"}
    ).perf
    assert perf == settings().perf
    assert (perf.max_in_flight_partitions, perf.retry_attempts, perf.retry_backoff_ms) == (
        4,
        3,
        1000,
    )
    assert (perf.workers, perf.memory_budget, perf.on_failure) == (0, 256 << 20, "halt")


def test_log_words_come_in_any_case() -> None:
    logging = settings(logging={"format": "JSON", "level": "Warning"}).logging
    assert (logging.format, logging.level) == ("json", "warn")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).map(lambda t: f"/{t}"))
def test_paths_survive_being_urls(path: str) -> None:
    if "://" in path:
        return
    assert unquote(address(path).removeprefix("file://")) == str(Path(path))


@given(st.integers(0, 60), st.integers(2, 120), st.integers(1, 30))
def test_partition_count_is_what_the_era_cuts(start: int, end: int, size: int) -> None:
    if end < start:
        return
    era = Era("n", "e", "v", start, end, size)
    assert partition_count(era) == len(list(era.partitions(era.first_ledger, end)))
    assert partition_count(Era("n", "e", "v", start, None, size)) is None
