"""``bronze doctor`` as a command: text, JSON, exit codes, and a signal in the middle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bronze_tui.cli import main
from bronze_tui.testing.tiny_lake import write_tiny_lake

CONFIG = """
era: {network: demo, era_id: first, version_label: v1, ledger_start: 2, ledger_end: 17,
      partition_size: 8}
source: {mode: local, local_path: LAKE}
storage: {local_dir: ROOT/data}
pas: {enabled: true, backup_dir: ROOT/pas}
checkpoint: {dir: ROOT/state}
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder, first=2, count=16)
    return folder


@pytest.fixture
def config(tmp_path: Path, lake: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("LAKE", str(lake)).replace("ROOT", str(tmp_path)))
    return path


def doctor(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main(["doctor", *map(str, args)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_all_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = doctor(capsys, "-c", config)
    assert (code, err) == (0, "")
    headings = [row for row in out.splitlines() if not row.startswith(" ")]
    assert headings[:-1] == [
        *("config", "plugins", "source", "store", "dataset", "catalog", "audit"),
        *("endpoint", "machine", "clock", "terminal"),
    ]
    assert headings[-1].endswith("nothing stands in the way of a run")
    assert "[ok]   conditional create honoured" in out
    assert sorted(p.name for p in config.parent.iterdir()) == ["config.yaml"]


def test_json_is_the_same_as_data(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = doctor(capsys, "-c", config, "--json", "--set", "source.local_path=/nowhere/x")
    doc = json.loads(out)
    assert code == doc["exit_code"] == 7
    assert doc["ok"] is False
    failed = [f for f in doc["findings"] if f["state"] == "fail"]
    assert [(f["group"], f["name"]) for f in failed] == [("source", "open")]
    assert failed[0]["todo"]


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        (["era.partition_size=0"], 2, "era.partition_size"),
        (["plugins.required=[absent]"], 4, "absent"),
        (["storage.local_dir=/proc/nowhere"], 1, "store"),
        (["pas.endpoint=http://127.0.0.1:1"], 7, "does NOT answer"),
        (["pas.endpoint=http://127.0.0.1:1", "storage.local_dir=/proc/nowhere"], 1, "FAILED"),
    ],
)
def test_exit_codes(
    config: Path, capsys: pytest.CaptureFixture[str], sets: list[str], code: int, said: str
) -> None:
    given = [word for each in sets for word in ("--set", each)]
    found, out, _ = doctor(capsys, "-c", config, *given)
    assert found == code, out
    assert said in out
    assert "Traceback" not in out


def test_secrets_that_others_can_read_are_a_warning(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text()
    config.write_text(text + 'catalog: {postgres_dsn: "postgres://u:hunter2-planted@db.invalid/x"}')
    config.chmod(0o644)
    _, out, err = doctor(capsys, "-c", config)
    assert "others may read it" in out
    assert "hunter2-planted" not in out + err


def test_a_signal_ends_it_and_leaves_nothing(config: Path) -> None:
    """The endpoint hangs, so that the command is still busy when the signal comes."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        asked = threading.Event()
        threading.Thread(target=lambda: (deaf.accept(), asked.set()), daemon=True).start()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        process = _started(config, "--set", f"pas.endpoint={url}")
        try:
            assert asked.wait(60)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert sorted(p.name for p in config.parent.iterdir()) == ["config.yaml"]


def _started(config: Path, *args: str) -> subprocess.Popen[Any]:
    return subprocess.Popen(
        [sys.executable, "-m", "bronze_tui.cli", "doctor", "-c", str(config), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CONFIG_FILE": ""},
    )
