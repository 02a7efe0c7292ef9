"""The app in a real terminal: a demo seen on every page, detach, attach, kill, signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import run_here
from terminal import BRONZE, Terminal

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.tui.keymap import PAGES, Page

PRIMARY = r"48;2;21\d;160;91m(?:\x1b\[[0-9;]*m|\s)*"
"""The active tab's background in the dark theme, up to its text."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()
    for file in tmp_path.glob("*/state/engine.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads(file.read_bytes())["pid"]), signal.SIGKILL)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copied demo of four partitions; its configuration is ``demo.yaml`` in it."""
    done = run_here("demo", "d", "--no-tui", "--ledgers", "128", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "d"


def engine_pid(demo: Path) -> int:
    return int(json.loads((demo / "state" / "engine.json").read_bytes())["pid"])


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def follow(terminal: Terminal) -> None:
    """Start a run that waits at the tip until it is ended."""
    terminal.run(f"{BRONZE} run --config d/demo.yaml --set era.ledger_end=0")
    terminal.wait("AT TIP")


def is_active(terminal: Terminal, page: Page) -> bool:
    return bool(re.search(f"{PRIMARY}{page.key} {page.title}", terminal.screen(colours=True)))


def test_demo_shows_every_page_and_proves_its_copy(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run(f"{BRONZE} demo d --ledgers 128")
    terminal.wait("DONE")
    assert terminal.alternate
    for page in (*PAGES, PAGES[3]):
        terminal.press(page.key)
        terminal.until(lambda p=page: is_active(terminal, p), page.title)  # type: ignore[misc]
    terminal.wait("F2 goes to the tables")
    assert "DONE 100% demo/first/v1" in terminal.tmux("display", "-p", "#{pane_title}")
    terminal.press("1")
    terminal.until(lambda: is_active(terminal, PAGES[0]), "the dashboard")
    terminal.press("q")
    terminal.wait("EXIT=0.")
    assert not terminal.alternate
    assert "DONE" not in terminal.tmux("display", "-p", "#{pane_title}")
    assert "head        sha256:" in terminal.tmux("capture-pane", "-p", "-S", "-100")
    assert verify_folder(resolve(tmp_path / "d")).ok


def test_detach_attach_and_a_killed_engine(terminal: Terminal, demo: Path) -> None:
    follow(terminal)
    terminal.press("q")
    terminal.wait("Leave the copy running?")
    terminal.press("d")
    terminal.wait("EXIT=0.")
    assert "The engine goes on" in terminal.screen()
    assert f"bronze attach --control --config {Path('d/demo.yaml')}" in terminal.screen()
    pid = engine_pid(demo)
    assert alive(pid)
    terminal.run("clear; " + f"{BRONZE} attach --config d/demo.yaml")
    terminal.wait("READ ONLY")
    terminal.wait("AT TIP")
    os.kill(pid, signal.SIGKILL)
    terminal.wait("GONE")
    terminal.wait("run again")
    terminal.press("q")
    terminal.wait("EXIT=0.")
    terminal.run("clear; " + f"{BRONZE} run --config d/demo.yaml --no-tui --plain")
    terminal.wait("verdict DONE")
    assert verify_folder(resolve(demo)).ok


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back(
    terminal: Terminal, demo: Path, number: int, code: int
) -> None:
    follow(terminal)
    os.kill(terminal.child(), number)
    terminal.wait(f"EXIT={code}.")
    assert not terminal.alternate
    assert not terminal.mouse
    assert terminal.echoes()
    assert alive(engine_pid(demo)), "the view ended, not the copy"


def test_a_lost_terminal_ends_the_view_alone(terminal: Terminal, demo: Path) -> None:
    follow(terminal)
    view, engine = terminal.child(), engine_pid(demo)
    terminal.tmux("kill-server")
    terminal.until(lambda: not alive(view), "end of the view")
    assert alive(engine)


def test_what_the_engine_says_before_it_begins_reaches_the_person(
    terminal: Terminal, demo: Path
) -> None:
    follow(terminal)
    terminal.press("q")
    terminal.wait("Leave the copy running?")
    terminal.press("d")
    terminal.wait("EXIT=0.")
    terminal.run("clear; " + f"{BRONZE} run --config d/demo.yaml")
    terminal.wait("EXIT=6.")
    assert "bronze: error:" in terminal.screen()
    assert "look at the run that works there: bronze attach" in terminal.screen()


def test_a_dataset_without_a_run_is_looked_at(terminal: Terminal, demo: Path) -> None:
    terminal.run(f"{BRONZE} attach d/data")
    terminal.wait("READ ONLY")
    terminal.wait("F2 goes to the tables")
    terminal.press("5")
    terminal.wait("WHOLE")
    terminal.press("q")
    terminal.wait("EXIT=0.")
    terminal.run("clear; " + f"{BRONZE} attach d/lake")
    terminal.wait("EXIT=2.")
    assert "bronze: error:" in terminal.screen()
    assert "Traceback" not in terminal.screen()


def test_replay_shows_the_verdict_at_once(terminal: Terminal, demo: Path) -> None:
    terminal.run(f"{BRONZE} replay d/state --speed 0")
    terminal.wait("DONE")
    terminal.wait("REPLAY END")
    assert terminal.alternate
    terminal.press("q")
    terminal.wait("EXIT=0.")
    assert not terminal.alternate


def test_bare_bronze_asks_and_opens_the_demo(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run(BRONZE)
    terminal.wait("Try the demo")
    terminal.press("d")
    terminal.wait("folder for the demo")
    terminal.press("Enter")
    terminal.wait("DONE")
    terminal.press("q")
    terminal.wait("EXIT=0.")
    assert verify_folder(resolve(tmp_path / "demo")).ok


@pytest.fixture(params=[{"NO_COLOR": "1"}, {"TERM": "xterm", "COLORTERM": ""}], ids=str)
def plain_terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    made = Terminal(tmp_path, 80, 24, env=request.param)
    yield made
    made.close()


def test_every_page_without_colour_or_with_few(plain_terminal: Terminal, demo: Path) -> None:
    terminal = plain_terminal
    few = terminal.environment.get("TERM") == "xterm"
    if few:
        terminal.run("export TERM=xterm; unset COLORTERM")
    else:
        terminal.run("export NO_COLOR=1")
    terminal.run(f"clear; {BRONZE} attach --state-dir d/state")
    terminal.wait("DONE")
    for key, words in (
        ("2", "■ committed"),
        ("3", "header"),
        ("4", "F5 run"),
        ("5", "WHOLE"),
        ("6", "● active"),
        ("7", "FOLLOWING"),
        ("8", "PREFLIGHT"),
        ("1", "VERDICT"),
    ):
        terminal.press(key)
        terminal.wait(words)
        terminal.wait("DONE")
        terminal.until(lambda: "quit" in terminal.screen().rstrip().splitlines()[-1], "the footer")
        shown = terminal.screen(colours=True)
        found = set(re.findall(r"\x1b\[[0-9;]*m", shown))
        if few:
            assert not any("8;2;" in code for code in found), (key, "no true colour", found)
        else:
            assert not any(coloured(code) for code in found), (key, found)
    terminal.press("q")
    terminal.wait("EXIT=0.")


def coloured(code: str) -> bool:
    """Whether a sequence sets a colour that is none of grey: NO_COLOR leaves shades of grey."""
    rgb = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", code)
    return any(len(set(one)) > 1 for one in rgb) or bool(re.search(r"[\[;][349][1-6][m;]", code))
