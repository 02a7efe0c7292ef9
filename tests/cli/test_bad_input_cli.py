"""Bad input at the real command: the documented exit code, words to act on, never a traceback."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import run_here
from copying import Site, digests

from bronze_tui import cli
from bronze_tui.testing.tiny_lake import (
    TinyLake,
    find_object,
    remove,
    replace_object,
    write_tiny_lake,
)

KEY = "FFFFFFF8--7.xdr.zst"
POWERS = "-dac_override,-dac_read_search"
"""What lets root read and write whatever the permissions say."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Ledgers 2 to 17."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=16)


@pytest.fixture
def site(tmp_path: Path, lake: TinyLake) -> Site:
    """An operator's empty folders beside a lake that may be damaged."""
    shutil.copytree(lake.root, tmp_path / "lake")
    settings = {"era.ledger_end": 17, "era.partition_size": 4}
    return Site(tmp_path, tmp_path / "lake", settings)


def bronze(site: Site, *args: str, powerless: bool = False) -> subprocess.CompletedProcess[str]:
    """``bronze run --no-tui``; ``powerless``: in a process for which permissions hold."""
    words = ["run", "--no-tui", "--plain", *args]
    for setting in site.sets():
        words += ["--set", setting]
    env = {k: v for k, v in os.environ.items() if k != "BRONZE_DEBUG"}
    if not powerless:
        return run_here(*words, env=env)
    command = [sys.executable, "-m", "bronze_tui.cli", *words]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root without setpriv cannot give its powers up")
        command = [setpriv, f"--bounding-set={POWERS}", f"--inh-caps={POWERS}", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)


def check(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The exit code, each word, no traceback, no control characters."""
    said = done.stderr + done.stdout
    assert done.returncode == code, said
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    assert "defect" not in said
    assert "\x1b" not in said


def bomb(path: Path) -> None:
    repeat = 1 << 1 | (1 << 17) << 3
    blocks = [(repeat | (i == 4095)).to_bytes(3, "little") + b"\0" for i in range(4096)]
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(blocks))


def no_permission(path: Path) -> None:
    path.chmod(0)


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), 5, ["truncated zstd frame", "at byte"]),
        (bomb, 5, ["would give", "source.max_ledger_bytes"]),
        (Path.unlink, 5, ["no object for ledgers 7-7", "scan-and-fill"]),
        (no_permission, 7, ["ermission"]),
    ],
    ids=["truncated", "bomb", "gap", "unreadable"],
)
def test_a_bad_object(
    site: Site, lake: TinyLake, damage: Callable[[Path], object], code: int, words: list[str]
) -> None:
    damage(find_object(site.lake, 7))
    check(bronze(site, powerless=damage is no_permission), code, KEY, *words)
    assert site.ranges() == ["2-5"]
    shutil.rmtree(site.lake)
    shutil.copytree(lake.root, site.lake)
    assert site.run().code == 0
    assert len(site.rows()) == 16


def test_the_tip_of_a_bounded_era(site: Site) -> None:
    for sequence in range(12, 18):
        remove(site.lake, sequence)
    check(bronze(site), 1, "ends at ledger 11", "--follow")
    assert site.ranges() == ["2-5", "6-9"]


@pytest.mark.parametrize("name", ["data", "state", "pas"])
def test_a_folder_that_may_not_be_written(site: Site, name: str) -> None:
    folder: Path = getattr(site, name)
    folder.mkdir()
    folder.chmod(0o555)
    done = bronze(site, powerless=True)
    folder.chmod(0o755)
    check(done, 1, str(folder), "ermission denied")
    assert list(folder.rglob("*")) == []
    assert site.run().code == 0
    assert len(site.events()) == 4


def test_no_lake(site: Site) -> None:
    shutil.rmtree(site.lake)
    check(bronze(site), 7, str(site.lake), "no such lake")
    assert not site.table.exists()


def test_a_damaged_catalog(site: Site) -> None:
    assert site.run().code == 0
    before = digests(site.data)
    (site.state / "catalog.sqlite").write_bytes(b"junk" * 1000)
    check(bronze(site), 5, "catalog.sqlite", "move the file aside")
    assert digests(site.data) == before


def test_the_state_folder_of_a_running_copier(site: Site) -> None:
    site.state.mkdir()
    with (site.state / "engine.lock").open("w") as file:
        file.write("process 7 on elsewhere")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        check(bronze(site), 6, str(site.state), "process 7 on elsewhere")
    assert not site.data.exists(), "who does not hold the state folder copies nothing"


def test_json_lines_say_it_too(site: Site) -> None:
    replace_object(site.lake, 7, b"")
    done = bronze(site, "--json")
    check(done, 5)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    [failed] = [r for r in records if r["kind"] == "partition_failed"]
    assert KEY in failed["error"]
    assert records[-1]["kind"] == "run_finished"
    assert records[-1]["exit_code"] == 5


HOSTILE = [
    "../../etc",
    "..",
    ".",
    "a/b",
    "/etc",
    "a\\b",
    "a\nb",
    "v1\n",
    "a\x00b",
    "\x1b[31mred",
    "a..b",
    "-rf",
    ".hidden",
    "con",
    "Ä",
    "a b",
    "a" * 65,
    "range=1-2;rm -rf",
    "％2e",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("key", ["era.network", "era.era_id", "era.version_label"])
def test_hostile_names(site: Site, key: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    site.settings[key] = text
    check_config_refused(site, [arg for s in site.sets() for arg in ("--set", s)], key, capsys)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (key, text)
        for key in ("era.era_id", "storage.prefix", "bronze.primary_table")
        for text in HOSTILE[:9]
        if key != "storage.prefix" or text not in (".", "a/b", "/etc")
    ],
    ids=ascii,
)
def test_hostile_names_in_a_file(
    site: Site, key: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, _, name = key.partition(".")
    config = site.root / "config.yaml"
    config.write_text(json.dumps({section: {name: text}}))
    sets = [s for s in site.sets() if not s.startswith(f"{key}=")]
    args = ["--config", str(config), *(arg for s in sets for arg in ("--set", s))]
    check_config_refused(site, args, key, capsys)


def check_config_refused(
    site: Site, args: list[str], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, the key by name, and not a file was made."""
    before = sorted(site.root.rglob("*"))
    assert cli.main(["run", "--no-tui", *args]) == 2
    said = capsys.readouterr().err
    assert key.rpartition(".")[2] in said, said
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert "\x00" not in said
    assert sorted(site.root.rglob("*")) == before


def test_hostile_names_in_the_environment(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETWORK", "../../etc")
    sets = [s for s in site.sets() if not s.startswith("era.network=")]
    check_config_refused(site, [a for s in sets for a in ("--set", s)], "era.network", capsys)


def test_a_prefix_stays_below_the_output_folder(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.settings["storage.prefix"] = "/a/./b/"
    args = [arg for s in site.sets() for arg in ("--set", s)]
    assert cli.main(["run", "--no-tui", "--plain", *args]) == 0
    capsys.readouterr()
    assert (site.data / "a/b/testnet/first/v1/_commits/2-5.json").is_file()
