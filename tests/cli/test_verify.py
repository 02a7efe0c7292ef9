"""``bronze verify`` as a person and as a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bronze_tui.audit.canonical import file_bytes, heads_bytes
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.commands.verify import command
from bronze_tui.domain.errors import BronzeError, SourceDenied, UsageError
from bronze_tui.testing.emitter_contract import make_chain

KEY = "testnet/p23_plus/v1"
CHAIN = make_chain(5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pas = tmp_path / "pas-backup"
    pas.mkdir()
    for event in CHAIN:
        (pas / event_name(event)).write_bytes(file_bytes(event))
    (pas / HEADS_FILE).write_bytes(heads_bytes({KEY: CHAIN[-1].event_hash}))
    return pas


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A verifier who has seen nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "bronze" / "heads"


def run(*args: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in args])


def failure(*args: object) -> BronzeError:
    error = run(*args).exception
    assert isinstance(error, BronzeError)
    return error


def test_ok(folder: Path) -> None:
    result = run(folder.parent)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"OK  {folder}: 1 chain, 5 events"
    assert f"  head        {CHAIN[-1].event_hash}" in lines
    assert "  ledgers     1000-1049 (50)" in lines
    assert f"  last event  {CHAIN[-1].timestamp}, ledgers 1040-1049" in lines
    assert "Head not pinned" in result.output
    assert "--head" in result.output


def test_broken(folder: Path) -> None:
    (folder / event_name(CHAIN[2])).unlink()
    result = run(folder)
    assert result.exit_code == 3
    assert result.output.startswith("BROKEN  ")
    assert "unbroken    events 1 to 2, then missing_event at event 3" in result.output
    assert "cause     its file was deleted, moved or never copied here" in result.output


def test_json(folder: Path) -> None:
    doc = json.loads(run(folder, "--json").output)
    assert (doc["schema"], doc["verdict"], doc["level"]) == ("bronze-verify/1", "ok", "chain")
    (chain,) = doc["chains"]
    assert chain["ledgers"] == [{"start": 1000, "end": 1049}]
    assert (chain["events"], chain["head"]) == (5, CHAIN[-1].event_hash)
    (folder / event_name(CHAIN[2])).unlink()
    result = run(folder, "--json")
    assert result.exit_code == 3
    doc = json.loads(result.output)
    first = doc["chains"][0]["first_wrong"]
    assert (doc["verdict"], first["kind"], first["event"]) == ("broken", "missing_event", 3)
    assert first["ledgers"] == "1020-1029"


def test_quiet(folder: Path) -> None:
    assert run(folder, "--quiet").output == f"OK  {folder}: 1 chain, 5 events\n"
    (folder / event_name(CHAIN[2])).unlink()
    result = run(folder, "--quiet")
    assert (result.exit_code, result.output.count("\n")) == (3, 1)


def test_a_cut_tail_takes_a_pinned_head(folder: Path) -> None:
    cut_tail(folder)
    assert run(folder).exit_code == 0
    result = run(folder, "--head", CHAIN[4].event_hash)
    assert result.exit_code == 3
    assert "pinned_head_missing" in result.output
    assert "Head not pinned" not in result.output
    assert run(folder, "--head", CHAIN[3].event_hash.removeprefix("sha256:")).exit_code == 0


def cut_tail(folder: Path) -> None:
    """Remove the last event as a careful thief would."""
    (folder / event_name(CHAIN[4])).unlink()
    (folder / HEADS_FILE).write_bytes(heads_bytes({KEY: CHAIN[3].event_hash}))


def test_a_cut_tail_is_remembered(folder: Path, memory: Path) -> None:
    assert run(folder).exit_code == 0
    assert "Heads compared with those last seen here" in run(folder).output
    cut_tail(folder)
    for _ in range(2):
        result = run(folder)
        assert result.exit_code == 3
        assert "error chain_shrank" in result.output
        assert CHAIN[4].event_hash in result.output
        assert CHAIN[3].event_hash in result.output
    doc = json.loads(run(folder, "--json").output)
    assert doc["chains"][0]["first_wrong"]["kind"] == "chain_shrank"
    assert run(folder, "--no-memory").exit_code == 0
    assert run(folder, "--quiet").exit_code == 3
    result = run(folder, "--forget")
    assert (result.exit_code, "1 remembered head(s) dropped" in result.stderr) == (0, True)
    assert run(folder).exit_code == 0
    assert len(list(memory.iterdir())) == 1


def test_no_memory_leaves_no_trace(folder: Path, memory: Path) -> None:
    assert run(folder, "--no-memory").exit_code == 0
    assert not memory.exists()
    run(folder)
    assert run(folder, "--no-memory", "--forget").exit_code == 0
    assert list(memory.iterdir()) == []


def test_declared_holes(folder: Path, tmp_path: Path) -> None:
    holes = tmp_path / "data" / KEY / "_holes"
    holes.mkdir(parents=True)
    assert run(folder, "--holes", holes).exit_code == 0
    assert isinstance(failure(folder, "--holes", tmp_path), UsageError)


@pytest.mark.parametrize("level", ["chain", "0"])
def test_levels(folder: Path, level: str) -> None:
    assert run(folder, "--level", level).exit_code == 0


@pytest.mark.parametrize("level", ["manifest", "file", "row", "ledger", "source", "5"])
def test_levels_below_the_chain_take_data_files(folder: Path, level: str) -> None:
    error = failure(folder, "--level", level)
    assert error.exit_code == 2
    assert "--data" in error.todo


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--level", "deep"), "unknown level"),
        (("--head", "1234"), "not an event hash"),
        (("--head", "sha256:" + "A" * 64), "not an event hash"),
        (("--chain", "testnet/p23_plus/v2"), "no chain"),
    ],
)
def test_usage(folder: Path, args: tuple[str, ...], text: str) -> None:
    error = failure(folder, *args)
    assert error.exit_code == 2
    assert text in str(error)


def test_paths(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such folder" in str(failure(tmp_path / "none"))
    assert failure(tmp_path / "none").exit_code == 2
    monkeypatch.setattr("os.scandir", _denied)
    error = failure(folder)
    assert isinstance(error, SourceDenied)
    assert error.exit_code == 7


def _denied(path: object) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_the_go_copiers_output(shared: Path) -> None:
    go = shared / "go-copier"
    codes = {p.name: run(p).exit_code for p in go.iterdir() if (p / "pas-backup").is_dir()}
    assert {name for name, code in codes.items() if code} == {"bad-http-fork"}
    assert codes["bad-http-fork"] == 3
    assert len(codes) == 7


def test_it_is_a_click_command() -> None:
    assert isinstance(command, click.Command)
    assert command.name == "verify"
    assert run("--help").exit_code == 0
