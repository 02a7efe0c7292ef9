"""The Go copier's keys, variables and files, each one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from bronze_tui.config import keys
from bronze_tui.config.load import load
from bronze_tui.domain.errors import ConfigError

# Key, variable (empty: none) and a text for it, as in its source.
GO_KEYS = [
    ("copier_id", "COPIER_ID", "c2"),
    ("era.era_id", "ERA_ID", "p23_plus"),
    ("era.version_label", "VERSION_LABEL", "v2"),
    ("era.network", "NETWORK", "testnet"),
    ("era.ledger_start", "LEDGER_START", "100"),
    ("era.ledger_end", "LEDGER_END", "4294967295"),
    ("era.partition_size", "PARTITION_SIZE", "64000"),
    ("era.allow_overwrite", "ALLOW_OVERWRITE", "true"),
    ("source.mode", "SOURCE_MODE", "datastore"),
    ("source.local_path", "SOURCE_LOCAL_PATH", "./archive"),
    ("source.gcs_bucket", "SOURCE_GCS_BUCKET", "gb"),
    ("source.gcs_prefix", "SOURCE_GCS_PREFIX", "landing/ledgers/"),
    ("source.s3_bucket", "SOURCE_S3_BUCKET", "sb"),
    ("source.s3_prefix", "SOURCE_S3_PREFIX", "ledgers/"),
    ("source.s3_endpoint", "SOURCE_S3_ENDPOINT", "https://s3.example.com"),
    ("source.s3_region", "SOURCE_S3_REGION", "us-west-000"),
    ("source.datastore_type", "SOURCE_DATASTORE_TYPE", "GCS"),
    ("source.datastore_path", "SOURCE_DATASTORE_PATH", "bucket/landing/pubnet"),
    ("storage.backend", "STORAGE_BACKEND", "s3"),
    ("storage.local_dir", "STORAGE_LOCAL_DIR", "/out"),
    ("storage.gcs_bucket", "STORAGE_GCS_BUCKET", "og"),
    ("storage.s3_bucket", "STORAGE_S3_BUCKET", "os"),
    ("storage.s3_endpoint", "STORAGE_S3_ENDPOINT", "http://127.0.0.1:9000"),
    ("storage.s3_region", "STORAGE_S3_REGION", "r"),
    ("storage.prefix", "STORAGE_PREFIX", "lake/bronze/"),
    ("catalog.postgres_dsn", "CATALOG_DSN", "postgres://u:p@h/d"),
    ("catalog.namespace", "CATALOG_NAMESPACE", "main"),
    ("catalog.strict", "CATALOG_STRICT", "true"),
    ("pas.enabled", "PAS_ENABLED", "true"),
    ("pas.endpoint", "PAS_ENDPOINT", "https://pas.example.com/v1/events"),
    ("pas.backup_dir", "PAS_BACKUP_DIR", "/pas"),
    ("pas.strict", "PAS_STRICT", "true"),
    ("checkpoint.enabled", "CHECKPOINT_ENABLED", "false"),
    ("checkpoint.dir", "CHECKPOINT_DIR", "/st"),
    ("perf.max_in_flight_partitions", "MAX_IN_FLIGHT_PARTITIONS", "8"),
    ("perf.workers", "", "6"),
    ("perf.queue_size", "", "12"),
    ("perf.retry_attempts", "", "5"),
    ("perf.retry_backoff_ms", "", "250"),
    ("logging.format", "LOG_FORMAT", "json"),
    ("logging.level", "LOG_LEVEL", "debug"),
    ("metrics.enabled", "METRICS_ENABLED", "true"),
    ("metrics.address", "METRICS_ADDRESS", "127.0.0.1:9100"),
    ("bronze.primary_table", "BRONZE_PRIMARY_TABLE", "ledgers_lcm_raw"),
]
BUCKETS = {
    "SOURCE_DATASTORE_PATH": "b/p",
    "SOURCE_DATASTORE_TYPE": "GCS",
    "SOURCE_MODE": "datastore",
}


def text_of(settings: object, dotted: str) -> str:
    for part in dotted.split("."):
        settings = getattr(settings, part)
    if isinstance(settings, SecretStr):
        return settings.get_secret_value()
    return str(settings).lower() if isinstance(settings, bool) else str(settings)


def test_the_list_is_complete() -> None:
    slots = [(dotted, slot.key) for dotted, slot in keys.leaves()]
    ours = {dotted: key.env for dotted, key in slots if key.env and not key.ours}
    assert ours == {key: variable for key, variable, _ in GO_KEYS if variable}
    named = {key for key, _, _ in GO_KEYS} | {"active_eras"}
    added = {dotted for dotted, slot in keys.leaves() if slot.key.ours}
    assert {d for d, _ in keys.leaves() if not d.startswith("eras[]")} == named | added


@pytest.mark.parametrize(("dotted", "variable", "text"), GO_KEYS)
def test_every_key_in_a_file(tmp_path: Path, dotted: str, variable: str, text: str) -> None:
    section, _, name = dotted.rpartition(".")
    tree: dict[str, object] = {"source": {"mode": "datastore", "url": "gs://b"}}
    tree["storage"] = {"url": "/out"} if dotted == "storage.backend" else {}
    if dotted == "storage.backend":
        tree["storage"] = {"s3_bucket": "x"}
    below = tree.setdefault(section, {}) if section else tree
    assert isinstance(below, dict)
    below[name] = text
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(tree))
    loaded = load(path, (), {variable: "/ignored"} if variable else {})
    assert text_of(loaded.settings, dotted) == text
    assert loaded.origins[dotted] == "file:1"


@pytest.mark.parametrize(("dotted", "variable", "text"), [row for row in GO_KEYS if row[1]])
def test_every_variable(dotted: str, variable: str, text: str) -> None:
    environ = BUCKETS | {"STORAGE_S3_BUCKET": "x", variable: text}
    loaded = load(None, (), environ)
    assert text_of(loaded.settings, dotted) == text
    assert loaded.origins[dotted] == f"environment {variable}"


def test_defaults_are_those_of_its_environment() -> None:
    settings = load(None, (), {"SOURCE_LOCAL_PATH": "/lake"}).settings
    expected = {
        "copier_id": "bronze-copier-001",
        "era.era_id": "pre_p23",
        "era.version_label": "v1",
        "era.network": "pubnet",
        "era.ledger_start": "1",
        "era.ledger_end": "0",
        "era.partition_size": "10000",
        "era.allow_overwrite": "false",
        "source.mode": "local",
        "storage.backend": "local",
        "storage.local_dir": "./data",
        "storage.prefix": "bronze/",
        "catalog.namespace": "mainnet",
        "catalog.strict": "false",
        "pas.enabled": "false",
        "pas.backup_dir": "./pas-backup",
        "checkpoint.enabled": "true",
        "checkpoint.dir": "./state",
        "perf.max_in_flight_partitions": "4",
        "perf.retry_attempts": "3",
        "perf.retry_backoff_ms": "1000",
        "logging.format": "text",
        "logging.level": "info",
        "metrics.enabled": "false",
        "metrics.address": ":9090",
        "bronze.primary_table": "ledgers_lcm_raw",
    }
    assert {key: text_of(settings, key) for key in expected} == expected


SAMPLES = [
    "bad-hole",
    "bad-http-fork",
    "run-datastore-gcs",
    "run-pipeline",
    "run-restart",
    "run-sequential",
]


@pytest.mark.parametrize("name", SAMPLES)
def test_its_own_files_load(shared: Path, name: str) -> None:
    path = shared / "go-copier" / name / "config.yaml"
    loaded = load(path, (), {})
    tree = json.loads(path.read_text())
    for section, values in tree.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert text_of(loaded.settings, f"{section}.{key}") == text
    (era,) = loaded.settings.active()
    assert era.chain_key == "testnet/p23_plus/v1"
    assert all(": this version " in line for line in loaded.warnings)


def test_hostile_names_are_refused(shared: Path) -> None:
    path = shared / "go-copier" / "run-escaping" / "config.yaml"
    with pytest.raises(ConfigError) as caught:
        load(path, (), {})
    found = sorted(line.removeprefix(str(path)).split(": ")[1] for line in caught.value.problems)
    assert found == ["era.era_id", "era.network", "era.version_label"]


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", "", "CON", "con", "a" * 65, ".a"])
@pytest.mark.parametrize("key", ["era.era_id", "era.network", "era.version_label"])
def test_names_that_leave_their_folder_are_refused(key: str, name: str) -> None:
    if not name:
        assert load(None, [f"{key}=", "source.url=/l"], {}).origins[key] == "default"
        return
    with pytest.raises(ConfigError, match="cannot be part of a path"):
        load(None, [f"{key}={name}", "source.url=/l"], {})
