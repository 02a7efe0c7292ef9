"""Rules that span keys, and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from bronze_tui.config.check import findings, warnings
from bronze_tui.config.models import Settings


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"source": {"local_path": "lake"}, **sections})


def found(**sections: Any) -> list[tuple[str, str]]:
    return [(f.keys[0], f"{f.what}; {f.todo}") for f in findings(settings(**sections))]


def warned(given: set[str], **sections: Any) -> list[str]:
    return list(warnings(settings(**sections), given))


def era(era_id: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {"era_id": era_id, "network": "n", "ledger_start": start, "ledger_end": end, **more}


def test_sound_settings_have_no_findings() -> None:
    assert found() == []
    assert found(eras=[era("a", 2, 9), era("b", 10, 0)], active_eras=["b"]) == []
    assert found(eras=[era("a", 2, 9), era("a", 2, 9, network="m")], active_eras=[]) != []


@pytest.mark.parametrize(
    ("eras", "key", "text"),
    [
        ([era("a", 2, 9), era("b", 9, 20)], "eras.1.ledger_start", "overlaps eras.0"),
        ([era("a", 20, 29), era("b", 2, 9)], "eras.1.ledger_start", "ascending order"),
        ([era("a", 2, 0), era("b", 9, 20)], "eras.0.ledger_end", "has no end, but eras.1"),
        ([era("a", 2, 9), era("a", 10, 20)], "eras.1.era_id", "n/a/v1 is also eras.0"),
        ([era("a", 9, 2)], "eras.0.ledger_end", "2 is below ledger_start 9"),
        ([era("a", 2, 9), era("b", 2, 9, network="m")], "eras", "several networks (m, n)"),
    ],
)
def test_era_lists(eras: list[dict[str, Any]], key: str, text: str) -> None:
    assert [line for k, line in found(eras=eras) if k == key and text in line]


def test_eras_of_two_networks_may_stand_in_one_file() -> None:
    eras = [era("a", 2, 9), era("b", 2, 9, network="m")]
    assert found(eras=eras, active_eras=["a"]) == []


@pytest.mark.parametrize(
    ("values", "key", "text"),
    [
        ({"ledger_start": 10, "ledger_end": 9}, "era.ledger_end", "below ledger_start 10"),
        ({"ledger_start": 0, "ledger_end": 1}, "era.ledger_end", "no lake holds a ledger below 2"),
        ({"ledger_start": 4294967290}, "era.ledger_start", "no whole partition fits"),
    ],
)
def test_one_era(values: dict[str, int], key: str, text: str) -> None:
    ((where, line),) = found(era=values)
    assert where == key
    assert text in line


def test_active_eras_must_exist_and_stand_once() -> None:
    eras = [era("pre_p23", 2, 9)]
    ((key, line),) = found(eras=eras, active_eras=["pre_p24"])
    assert key == "active_eras.0"
    assert "did you mean pre_p23?" in line
    ((key, line),) = found(eras=eras, active_eras=["pre_p23", "pre_p23"])
    assert key == "active_eras.1"
    assert "twice" in line
    assert found(active_eras=["pre_p23"]) == []


@pytest.mark.parametrize(
    ("source", "key", "text"),
    [
        ({}, "source.local_path", "is missing, although source.mode is local"),
        ({"mode": "gcs"}, "source.gcs_bucket", "is missing"),
        ({"mode": "s3"}, "source.s3_bucket", "is missing"),
        ({"mode": "datastore"}, "source.datastore_path", "is missing"),
        (
            {"mode": "datastore", "datastore_path": "b/c"},
            "source.datastore_type",
            "is missing; write GCS, S3 or Filesystem",
        ),
        (
            {"mode": "datastore", "datastore_path": "b/c", "datastore_type": "AZURE"},
            "source.datastore_type",
            "'AZURE' is not GCS",
        ),
        (
            {"mode": "datastore", "datastore_path": "s3://k:s@b/c"},
            "source.datastore_path",
            "holds credentials",
        ),
        ({"mode": "local", "url": "s3://b"}, "source.url", "write source.mode: s3"),
        ({"mode": "gcs", "url": "az://b"}, "source.url", "write source.mode: datastore"),
    ],
)
def test_sources(source: dict[str, str], key: str, text: str) -> None:
    ((where, line),) = found(source=source)
    assert where == key
    assert text in line


@pytest.mark.parametrize(
    ("storage", "key", "text"),
    [
        ({"backend": "gcs"}, "storage.gcs_bucket", "is missing"),
        ({"backend": "s3"}, "storage.s3_bucket", "is missing"),
        ({"backend": "s3", "url": "/data"}, "storage.url", "write storage.backend: local"),
    ],
)
def test_stores(storage: dict[str, str], key: str, text: str) -> None:
    ((where, line),) = found(storage=storage)
    assert where == key
    assert text in line


def test_other_modes_are_for_plugins_to_judge() -> None:
    assert found(source={"mode": "rpc"}, storage={"backend": "fsspec"}) == []


def test_plugins_cannot_be_both() -> None:
    ((key, line),) = found(plugins={"disable": ["a"], "required": ["a"]})
    assert key == "plugins.disable"
    assert "'a' is disabled and also" in line
    assert found(plugins={"allow": [""]})[0][0] == "plugins.allow.0"


def test_warnings_of_keys_without_effect() -> None:
    lines = warned(
        {"source.gcs_bucket", "storage.s3_region", "era.allow_overwrite", "pas.endpoint"},
        source={"local_path": "x", "gcs_bucket": "b"},
        storage={"s3_region": "r"},
        era={"allow_overwrite": True},
        pas={"endpoint": "http://example.com/x"},
    )
    assert lines == [
        "source.gcs_bucket: not used, source.mode is local",
        "storage.s3_region: not used, storage.backend is local",
        "era.allow_overwrite: ignored, partitions are immutable; a new version_label starts anew",
        "pas.endpoint: not used while pas.enabled is false",
        "pas.endpoint: events travel unencrypted; use https",
    ]


def test_a_file_beside_postgres_is_not_used() -> None:
    lines = warned(set(), catalog={"postgres_dsn": "postgres://u:hush@h/d", "path": "/c.sqlite"})
    assert lines == ["catalog.path: not used, the catalog is in PostgreSQL"]


@pytest.mark.parametrize(
    ("endpoint", "allowed", "text"),
    [
        ("http://127.0.0.1:8000/e", False, ""),
        ("http://localhost:8000/e", False, ""),
        ("http://[::1]:8000/e", False, ""),
        ("https://pas.example/e", False, ""),
        ("https://203.0.114.7/e", False, ""),
        ("http://pas.example/e", False, "is http to another machine"),
        ("http://pas:8000/e", True, ""),
        ("https://10.0.0.1/e", False, "is a private address"),
        ("https://10.0.0.1/e", True, ""),
        ("http://10.0.0.1/e", True, ""),
        ("http://8.8.8.8/e", True, "http has no TLS"),
        ("https://169.254.169.254/latest", True, "is a link-local"),
        ("https://[::ffff:10.0.0.1]/e", False, "is a private address"),
    ],
)
def test_where_events_may_be_posted_to(endpoint: str, allowed: bool, text: str) -> None:
    pas = {"enabled": True, "endpoint": endpoint, "allow_private": allowed}
    problems = found(pas=pas)
    assert (text in problems[0][1]) if text else problems == []
    assert found(pas={**pas, "enabled": False}) == [], "an endpoint that is not used may be any"


def test_a_token_that_travels_unencrypted_is_warned_of() -> None:
    pas = {"enabled": True, "endpoint": "http://pas:80/e", "allow_private": True, "token": "hush"}
    lines = warned(set(), pas=pas)
    assert lines == [
        "pas.endpoint: events travel unencrypted; use https",
        "pas.token: travels unencrypted too",
    ]


def test_url_takes_precedence_over_the_other_keys() -> None:
    given = {"source.s3_bucket", "source.s3_region"}
    source = {"mode": "s3", "url": "s3://b", "s3_bucket": "c", "s3_region": "r"}
    (line,) = warned(given, source=source)
    assert line == "source.s3_bucket: not used, source.url takes precedence"


def test_era_beside_eras_and_near_misses_are_warned_of() -> None:
    lines = warned({"era.era_id"}, eras=[era("a", 2, 9)], source={"mode": "datastor"})
    assert "era: not used, eras takes precedence" in lines
    assert "source.mode: datastor is not built in; did you mean datastore?" in lines


def test_the_default_overwrite_is_no_warning() -> None:
    assert warned({"era.allow_overwrite"}) == []
    eras = [era("a", 2, 9, allow_overwrite=True)]
    (line,) = warned({"eras.0.allow_overwrite"}, eras=eras)
    assert line.startswith("eras.0.allow_overwrite: ignored")
