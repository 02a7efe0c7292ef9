"""Ways in: the start screen, what a command line leads to, and the browser's server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import run_here
from piloting import play, run, text_of
from textual.pilot import Pilot

from bronze_tui import cli
from bronze_tui.config.load import load
from bronze_tui.domain.errors import UsageError
from bronze_tui.tui import launch
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.datasets import find_dataset
from bronze_tui.tui.screens.start import Choice
from bronze_tui.tui.session import Session

NEED_WEB = pytest.mark.skipif(
    importlib.util.find_spec("textual_serve") is None, reason="the extra 'web' is not installed"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copied demo."""
    root = tmp_path_factory.mktemp("ways")
    done = run_here("demo", "d", "--no-tui", "--ledgers", "64", cwd=root)
    assert done.returncode == 0, done.stderr
    return root / "d"


def start(*keys: str, size: tuple[int, int] = (100, 30)) -> tuple[Choice | None, str]:
    """Press keys on the start screen; what was chosen and the last picture."""
    app = BronzeApp(Session(kind="start"))
    shown = ""

    async def go() -> None:
        nonlocal shown
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            if app.is_running and app._exit is False:
                shown = text_of(app)

    run(go())
    return app.choice, shown


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 60)])
def test_it_offers_four_ways(here: Path, size: tuple[int, int]) -> None:
    _, shown = start(size=size)
    for text in ("Try the demo", "Open a configuration", "Verify an audit", "Inspect a dataset"):
        assert text in shown


def test_the_demo_needs_two_keys(here: Path) -> None:
    assert start("d", "enter")[0] == Choice("demo", Path("demo"))
    assert start("enter", "enter")[0] == Choice("demo", Path("demo"))


def test_configurations_of_the_folder_are_listed(here: Path) -> None:
    (here / "[red]x.yaml").write_text("a: 1")
    (here / "notes.txt").write_text("no")
    assert "[red]x.yaml" in start()[1]
    chosen, _ = start("down", "down", "down", "down", "enter")
    assert chosen == Choice("config", here / "[red]x.yaml")


@pytest.mark.parametrize(("key", "what"), [("o", "config"), ("v", "verify"), ("i", "inspect")])
def test_a_path_is_asked_for_and_checked(here: Path, key: str, what: str) -> None:
    (here / "f").write_text("")
    (here / "g").mkdir()
    assert "give a path" in start(key, "ctrl+u", "enter")[1]
    assert "there is no" in start(key, "ctrl+u", *"nope", "enter")[1]
    right = "f" if what == "config" else "g"
    assert start(key, "ctrl+u", right, "enter")[0] == Choice(what, Path(right))  # type: ignore[arg-type]


def test_leaving_chooses_nothing(here: Path) -> None:
    assert start("q")[0] is None
    assert start("o", "escape", "q")[0] is None


# What a command line leads to.


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been opened, on a machine with a terminal."""
    calls: list[Any] = []

    def opened(name: str) -> Any:
        def call(*args: Any) -> Any:
            calls.append((name, *args))
            return launch.Outcome(0, True)

        return call

    monkeypatch.setattr(launch, "on_terminal", lambda: True)
    monkeypatch.setattr(launch, "run_with_app", opened("run"))
    monkeypatch.setattr(launch, "open_app", opened("app"))
    return calls


def test_run_starts_an_engine_with_the_same_words(asked: list[Any], demo: Path) -> None:
    config = str(demo / "demo.yaml")
    words = ["--follow", "--repair", "--workers", "3", "--disable-plugin", "x", "--set", "a.b=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bronze_tui.commands._context.load_config", lambda *_: "loaded")
        assert cli.main(["run", "-c", config, *words]) == 0
    ((name, loaded, arguments),) = asked
    assert (name, loaded) == ("run", "loaded")
    assert arguments[:2] == ["--config", config]
    assert arguments[2:6] == ["--set", "a.b=1", "--set", "perf.workers=3"]
    assert arguments[6:] == ["--follow", "--repair", "--disable-plugin", "x"]


@pytest.mark.parametrize("flag", ["--no-tui", "--plain", "--json", "--dry-run"])
def test_a_run_without_the_app(asked: list[Any], demo: Path, flag: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo.parent)
        assert cli.main(["run", "-c", str(demo / "demo.yaml"), flag]) == 0
    assert asked == []


def test_bare_bronze_asks_only_where_nothing_is_configured(
    asked: list[Any], here: Path, monkeypatch: pytest.MonkeyPatch, demo: Path
) -> None:
    monkeypatch.delenv("CONFIG_FILE", raising=False)
    assert launch.nothing_configured(None, (), {})
    assert not launch.nothing_configured(None, (), {"SOURCE_MODE": "gcs"})
    assert not launch.nothing_configured(None, (), {"CONFIG_FILE": "x"})
    assert not launch.nothing_configured(Path("x"), (), {})
    assert not launch.nothing_configured(None, ("a=b",), {})
    monkeypatch.setattr(launch, "choose", lambda: None)
    assert cli.main([]) == 0
    assert asked == []
    monkeypatch.setattr(launch, "choose", lambda: Choice("verify", demo))
    assert cli.main([]) == 0
    ((_, session),) = asked
    assert (session.kind, session.first_page) == ("inspect", "audit")
    assert session.pas_dir == demo / "pas-backup"
    assert session.data_root == demo / "data" / "bronze"


@pytest.mark.parametrize("below", ["", "data", "data/bronze/demo/first/v1", "state/.."])
def test_a_dataset_is_found_from_anywhere_near_it(asked: list[Any], demo: Path, below: str) -> None:
    found = find_dataset(demo / below)
    assert found.data_root.resolve() == demo / "data" / "bronze"
    assert found.pas_dir is not None
    session = launch.inspect_session(demo / below)
    assert session.first_page == "sql"


def test_no_dataset_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset here"):
        find_dataset(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        find_dataset(tmp_path / "gone")


def test_attach_by_configuration_and_by_folder(asked: list[Any], demo: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo.parent)
        assert cli.main(["attach", "-c", "d/demo.yaml", "--control"]) == 0
        assert cli.main(["attach", "--state-dir", "d/state", "--no-mouse"]) == 0
        patch.chdir(demo)
        assert cli.main(["attach", "--state-dir", "state"]) == 0
    first, second, third = (session for _, session in asked)
    assert first.control
    assert not second.control
    assert not second.mouse
    assert first.journal == second.journal.absolute() == demo / "state" / "bronze.jsonl"
    assert first.pas_dir == second.pas_dir == demo / "pas-backup"
    assert second.loaded is not None
    assert third.loaded is None, "from another folder the relative configuration is not found"
    assert third.data_root == demo / "data" / "bronze"


def test_attach_and_replay_without_a_journal(here: Path, capsys: Any) -> None:
    (here / "s").mkdir()
    assert cli.main(["attach", "--state-dir", "s"]) == 2
    assert "there is no journal" in capsys.readouterr().err
    assert cli.main(["replay", "nowhere.jsonl"]) == 2
    assert "there is no journal" in capsys.readouterr().err


def test_without_a_terminal_the_app_is_refused_in_words(demo: Path) -> None:
    command = [sys.executable, "-m", "bronze_tui.cli", "replay", str(demo / "state")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


def test_a_session_of_a_configuration(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo.parent)
    loaded = load(Path("d/demo.yaml"), ("storage.prefix=ab/",), {})
    session = launch.session_of(loaded, "attach", control=False)
    assert session.data_root == demo / "data"
    assert session.prefix == "ab/"
    remote = load(Path("d/demo.yaml"), ("storage.backend=s3", "storage.s3_bucket=b"), {})
    assert launch.session_of(remote, "attach", control=False).data_root is None


def test_replay_runs_at_its_own_time(demo: Path) -> None:
    session = Session(kind="replay", journal=demo / "state" / "bronze.jsonl", speed=0)

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert app.now() == app.view.time
        assert "REPLAY END" in text_of(app)
        assert app.verdict(app.now()).word == "DONE"

    play(BronzeApp(session), step)


def test_a_session_shows_its_own_run_only(demo: Path) -> None:
    journal = demo / "state" / "bronze.jsonl"
    newest = json.loads(journal.read_text().splitlines()[-1])["time"]
    session = Session(kind="attach", journal=journal, after=newest + 1)

    async def go() -> None:
        app = BronzeApp(session)
        async with app.run_test() as pilot:
            for _ in range(20):
                await pilot.pause()
                await asyncio.sleep(0.01)
            assert app.view.run_id == ""
            assert app.verdict(app.now()).word == "STARTING"

    run(go())
