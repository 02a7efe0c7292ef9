"""The real command from bucket to bucket, configured by the Go copier's keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from calling import run_here
from copying import Site
from servers.gcs import FakeGcsServer
from servers.seaweed import REGION, SeaweedServer, clean_environment
from servers.web import WebServer

from bronze_tui.testing.tiny_lake import DEMO_PASSPHRASE, TinyLake, write_tiny_lake

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), count=40)


@pytest.fixture(scope="module")
def local_files(lake: TinyLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Parquet files of the same copy on this machine's disk."""
    site = Site(tmp_path_factory.mktemp("site"), lake.root, {"era.ledger_end": 41})
    assert site.run().code == 0
    return parquet(
        {
            path.relative_to(site.data).as_posix(): path.read_bytes()
            for path in site.data.rglob("*.parquet")
        }
    )


def parquet(objects: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in objects.items() if key.endswith(".parquet")}


def bronze(folder: Path, env: dict[str, str], *args: str) -> tuple[int, str]:
    """Exit code and everything said by one command."""
    done = run_here(*args, cwd=folder, env=clean_environment() | env)
    return done.returncode, done.stdout + done.stderr


def configure(folder: Path, source: dict[str, Any], storage: dict[str, Any]) -> str:
    config = {
        "era": {
            "network": "testnet",
            "era_id": "first",
            "version_label": "v1",
            "ledger_start": 2,
            "ledger_end": 41,
            "partition_size": 16,
        },
        "source": source,
        "storage": storage,
        "checkpoint": {"dir": str(folder / "state")},
        "perf": {"max_requests_per_second": 2000},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return str(folder / "config.yaml")


def requests_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The last totals that the journal tells, by role."""
    lines = (folder / "state" / "bronze.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    last_run = [r for r in records if r["run"] == records[-1]["run"]]
    return {r["role"]: r for r in last_run if r["kind"] == "requests"}


def test_a_web_server_to_a_folder(
    web: WebServer, lake: TinyLake, local_files: dict[str, bytes], tmp_path: Path
) -> None:
    """Nothing can be listed there: the newest ledger is found by asking for single objects."""
    (web.folder / "ledgers").symlink_to(lake.root)
    config = configure(
        tmp_path,
        {"mode": "lake", "url": f"{web.url}/ledgers"},
        {"local_dir": str(tmp_path / "data")},
    )
    code, said = bronze(tmp_path, {}, "run", "--no-tui", "--config", config)
    assert code == 0, said
    files = (tmp_path / "data").rglob("*.parquet")
    found = {p.relative_to(tmp_path / "data").as_posix(): p.read_bytes() for p in files}
    assert {k.partition("/")[2]: v for k, v in found.items()} == {
        k.partition("/")[2]: v for k, v in local_files.items()
    }
    asked = requests_of(tmp_path)["source"]
    assert asked["heads"] <= 24
    assert asked["lists"] == 0
    again = ("rebuild", "2-33", "data", "--from", f"{web.url}/ledgers")
    code, said = bronze(tmp_path, {}, *again, "--network-passphrase", DEMO_PASSPHRASE)
    assert code == 0, said
    assert "2 IDENTICAL" in said


def test_s3_to_s3(
    seaweed: SeaweedServer,
    s3_bucket: str,
    lake: TinyLake,
    local_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    lakes = seaweed.make_bucket()
    seaweed.upload(lake.root, lakes, "v1/ledgers")
    place = {"s3_endpoint": seaweed.endpoint, "s3_region": REGION}
    config = configure(
        tmp_path,
        {"mode": "datastore", "datastore_type": "S3", "datastore_path": f"{lakes}/v1/ledgers"}
        | place,
        {"backend": "s3", "s3_bucket": s3_bucket} | place,
    )
    command = ("run", "--no-tui", "--config", config)
    code, said = bronze(tmp_path, seaweed.environment, *command)
    assert code == 0, said
    assert "source I/O" in said, said[-2500:]
    assert "store I/O" in said
    objects = seaweed.objects(s3_bucket)
    assert parquet(objects) == local_files
    assert len([key for key in objects if "/_commits/" in key]) == 3
    first = requests_of(tmp_path)
    assert first["source"]["gets"] >= 40
    assert first["source"]["bytes_in"] >= sum(p.stat().st_size for p in lake.root.rglob("*.zst"))
    assert first["store"]["bytes_out"] >= sum(map(len, local_files.values()))

    code, said = bronze(tmp_path, seaweed.environment, *command)
    assert code == 0, said
    stored = seaweed.objects(s3_bucket)
    lock = {key for key in objects if key.endswith("/_lock")}
    assert {k: v for k, v in stored.items() if k not in lock} == {
        k: v for k, v in objects.items() if k not in lock
    }
    assert requests_of(tmp_path)["source"]["gets"] < 5

    demo = ("--network-passphrase", DEMO_PASSPHRASE)
    for target in ([config], [f"s3://{s3_bucket}/bronze", "--config", config]):
        proof = ("verify", *target, "--level", "source", *demo)
        code, said = bronze(tmp_path, seaweed.environment, *proof)
        assert code == 0, said
        assert "3 partitions at level source" in said
        assert "40 valid, 0 ledgers without" in said

    again = ("rebuild", "all", target[0], "--config", config, *demo)
    code, said = bronze(tmp_path, seaweed.environment, *again, "--from", f"s3://{lakes}/v1/ledgers")
    assert code == 0, said
    assert "OK" in said
    assert "3 IDENTICAL" in said
    assert seaweed.objects(s3_bucket) == stored
    code, said = bronze(tmp_path, seaweed.environment, *again, "--from", f"s3://{lakes}/nothing")
    assert code == 7, said
    assert "Traceback" not in said

    code, said = bronze(tmp_path, {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, *proof)
    assert code == 7, said
    assert "Traceback" not in said

    code, said = bronze(
        tmp_path, {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, *command
    )
    assert code == 7
    assert "access refused (HTTP 403)" in said
    assert "Traceback" not in said
    assert seaweed.secret_key not in (tmp_path / "state/bronze.jsonl").read_text()


def test_gcs_to_gcs(
    fake_gcs: FakeGcsServer,
    gcs_bucket: str,
    lake: TinyLake,
    local_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    lakes = fake_gcs.make_bucket()
    fake_gcs.upload(lake.root, lakes, "ledgers")
    place = {"endpoint": fake_gcs.endpoint, "anonymous": True}
    config = configure(
        tmp_path,
        {"mode": "gcs", "gcs_bucket": lakes, "gcs_prefix": "ledgers"} | place,
        {"backend": "gcs", "gcs_bucket": gcs_bucket} | place,
    )
    code, said = bronze(tmp_path, {}, "run", "--no-tui", "--config", config)
    assert code == 0, said
    keys = fake_gcs.keys(gcs_bucket)
    written = {key: fake_gcs.get(gcs_bucket, key) for key in keys}
    assert parquet(written) == local_files


def test_fsspec_to_fsspec(
    seaweed: SeaweedServer,
    s3_bucket: str,
    lake: TinyLake,
    local_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    lakes = seaweed.make_bucket()
    seaweed.upload(lake.root, lakes, "")
    place = {"endpoint": seaweed.endpoint, "region": REGION}
    config = configure(
        tmp_path,
        {"mode": "fsspec", "url": f"s3://{lakes}"} | place,
        {"backend": "fsspec", "url": f"s3://{s3_bucket}"} | place,
    )
    code, said = bronze(tmp_path, seaweed.environment, "run", "--no-tui", "--config", config)
    assert code == 0, said
    assert parquet(seaweed.objects(s3_bucket)) == local_files


def test_public_lake_example_is_valid(tmp_path: Path) -> None:
    example = REPO / "examples" / "pubnet-aws.yaml"
    code, said = bronze(tmp_path, {}, "validate", "--config", str(example))
    assert code == 0, said
    assert "s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet" in said
