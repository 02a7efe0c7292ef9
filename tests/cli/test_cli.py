"""The command line: spelling, lazy loading, errors as one line, exit codes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from bronze_tui import cli, start
from bronze_tui.domain.errors import BronzeError, ConfigError, Exit, GapError, LockedError
from bronze_tui.journal.control import ControlServer

Fake = Callable[[Callable[[], object]], None]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """``fake(action)`` makes ``bronze fake`` run ``action``."""

    def install(action: Callable[[], object]) -> None:
        module = ModuleType("bronze_fake")
        module.command = click.Command("fake", callback=action)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "bronze_fake", module)
        monkeypatch.setitem(cli.COMMANDS, "fake", ("bronze_fake:command", "A fake."))

    return install


def raising(error: BaseException) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["run"]),
        (["--no-tui"], ["run", "--no-tui"]),
        (["-config", "f.yaml"], ["run", "--config", "f.yaml"]),
        (["-config=f.yaml"], ["run", "--config=f.yaml"]),
        (["--config", "f.yaml"], ["run", "--config", "f.yaml"]),
        (["-c", "f.yaml", "--no-tui"], ["run", "-c", "f.yaml", "--no-tui"]),
        (["-config", "f.yaml", "-validate"], ["validate", "--config", "f.yaml"]),
        (["-validate", "-config", "f.yaml"], ["validate", "--config", "f.yaml"]),
        (["--validate=true", "--config", "f"], ["validate", "--config", "f"]),
        (["-validate=false", "-config", "f"], ["run", "--config", "f"]),
        (["-version"], ["--version"]),
        (["-config", "f", "--version"], ["--config", "f", "--version"]),
        (["--config", "f", "status", "--json"], ["status", "--config", "f", "--json"]),
        (["--set", "a=run", "status"], ["status", "--set", "a=run"]),
        (["--config", "status"], ["run", "--config", "status"]),
        (["--workers", "4"], ["run", "--workers", "4"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["--no-tui", "--help"], ["run", "--no-tui", "--help"]),
        (["verify", "-config", "x"], ["verify", "-config", "x"]),
        (["frobnicate", "x"], ["frobnicate", "x"]),
    ],
)
def test_rewrite(given: list[str], expected: list[str]) -> None:
    assert cli.rewrite(given, cli.COMMANDS.__contains__) == expected


@pytest.mark.parametrize("spelling", ["--version", "-version"])
def test_version(spelling: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([spelling]) == 0
    assert capsys.readouterr().out == "bronze 0.1.0\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert text.split(".")[0].split()[0] in out


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert "Usage: bronze " + name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BronzeError("it broke", where="k/1", todo="mend it"), 1, "k/1: it broke; mend it"),
        (GapError("ledger 7 is missing"), 5, "ledger 7 is missing"),
        (LockedError("held"), 6, "held"),
        (ConfigError(["f.yaml:3: unknown key"]), 2, "f.yaml:3: unknown key"),
        (FileNotFoundError(2, "x", "/no/file"), 1, "/no/file: No such file or directory"),
        (click.ClickException("plain"), 1, "plain"),
    ],
)
def test_errors_are_one_line(
    fake: Fake, capsys: pytest.CaptureFixture[str], error: Exception, code: int, line: str
) -> None:
    fake(raising(error))
    assert cli.main(["fake"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"bronze: error: {line}\n"
    assert captured.out == ""


def test_all_config_problems_are_said(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(raising(ConfigError(["one", "two"])))
    assert cli.main(["fake"]) == Exit.USAGE
    assert capsys.readouterr().err.splitlines() == [
        "bronze: error: 2 problems in the configuration",
        "  one",
        "  two",
    ]


def test_hostile_text_in_errors_is_escaped_and_secrets_are_hidden(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(raising(BronzeError("bad\x1b[2J\nkey postgres://u:hunter2@db/x")))
    assert cli.main(["fake"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert "hunter2" not in err


def test_a_defect_is_one_line_and_a_traceback_on_request(
    fake: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(raising(KeyError("inner password=hunter2")))
    assert cli.main(["fake"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "this is a defect; run with BRONZE_DEBUG=1" in err
    monkeypatch.setenv("BRONZE_DEBUG", "1")
    assert cli.main(["fake"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (lambda: None, 0),
        (lambda: 5, 5),
        (lambda: Exit.VERIFICATION, 3),
        (raising(SystemExit(3)), 3),
        (raising(SystemExit()), 0),
        (raising(SystemExit("text")), 1),
        (raising(click.exceptions.Exit(4)), 4),
        (raising(KeyboardInterrupt()), 130),
        (raising(click.Abort()), 130),
        (raising(BrokenPipeError()), 141),
    ],
)
def test_exit_codes(
    fake: Fake,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    action: Callable[[], object],
    code: int,
) -> None:
    monkeypatch.setattr(cli, "_pipe_closed", lambda: cli.PIPE_CLOSED)
    fake(action)
    assert cli.main(["fake"]) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["stauts"], "did you mean 'status'?"),
        (["plugins", "--nonsense"], "--nonsense"),
        (["plugins", "--hook", "bronze_run_start"], "did you mean 'bronze_run_started'?"),
        (["plugins", "--allow", "nobody"], "unknown plugin 'nobody'"),
        (["ctl"], "Missing argument"),
        (["ctl", "workers"], "'workers' takes a number"),
        (["ctl", "workers", "many"], "not a valid integer range"),
        (["ctl", "workers", "65"], "not in the range"),
        (["ctl", "pause", "3"], "the other actions take none"),
        (["ctl", "retry"], "'retry' takes a partition"),
        (["ctl", "retry", "18"], "'18' is not a partition"),
        (["ctl", "explode"], "explode"),
        (["-config", "/no/such/file.yaml", "-validate"], "/no/such/file.yaml"),
    ],
)
def test_wrong_usage_is_2(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == Exit.USAGE
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_a_closed_pipe_is_quiet() -> None:
    script = "import sys; from bronze_tui.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "plugins", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == cli.PIPE_CLOSED
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_while_it_is_imported_is_quiet(tmp_path: Path) -> None:
    busy = "import os, signal; os.kill(os.getpid(), signal.SIGINT); raise SystemExit(99)"
    (tmp_path / "click.py").write_text(busy)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from bronze_tui.start import main; sys.exit(main())"],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_the_installed_command_hears_ctrl_c_afterwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "argv", ["bronze", "--version"])
    assert start.main() == 0
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().out.startswith("bronze ")


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_are_no_failure(closed: tuple[int, ...], tmp_path: Path) -> None:
    """A file opened later must not get the number of a stream either."""
    script = (
        "import os, sys; from bronze_tui.cli import main; code = main(['plugins']);"
        f"fd = os.open({str(tmp_path / 'file')!r}, os.O_WRONLY | os.O_CREAT);"
        "sys.exit(code or (fd < 3 and 99))"
    )

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run([sys.executable, "-c", script], preexec_fn=close, timeout=60)
    assert done.returncode == 0


def test_plugins_table_json_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert cli.main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "source:datastore" in out
    assert cli.main(["plugins", "--json"]) == 0
    records = {r["name"]: r for r in json.loads(capsys.readouterr().out)}
    assert {"lake", "local", "object", "file"} <= set(records)
    assert all(r["status"] == "active" for r in records.values() if r["builtin"])
    assert cli.main(["plugins", "--names"]) == 0
    assert {"lake", "local", "object", "file"} <= set(capsys.readouterr().out.split())
    assert cli.main(["plugins", "--hook", "bronze_register_emitters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "file", "http"]


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed plugin ``shout`` that offers the command ``shout``, and a broken one."""
    (tmp_path / "shout_plugin.py").write_text(
        "import click\nfrom bronze_tui.hooks import hookimpl\nbronze_hook_api = 1\n"
        "@click.command('shout')\n@click.argument('word')\ndef shout(word):\n"
        "    click.echo(word.upper())\n"
        "@hookimpl\ndef bronze_register_commands(register):\n"
        "    register('shout', lambda settings: shout)\n"
    )
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('[red]\\x1bbroken')\n")
    info = tmp_path / "shout-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bronze_tui.plugins]\nshout = shout_plugin\nbroken = broken_plugin\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_plugin_may_offer_a_command(
    third_party: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["shout", "hey"]) == 0
    assert capsys.readouterr().out == "HEY\n"
    monkeypatch.setenv("BRONZE_DISABLE_PLUGINS", "shout")
    assert cli.main(["shout", "hey"]) == Exit.PLUGIN
    assert "switched off" in capsys.readouterr().err


def test_a_broken_plugin_is_listed_with_its_reason(
    third_party: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plugins"]) == 0
    assert "listed" in capsys.readouterr().out
    assert cli.main(["plugins", "--allow", "broken"]) == 0
    out = capsys.readouterr().out
    assert "import: RuntimeError: [red]\\x1bbroken" in out
    assert cli.main(["plugins", "--allow", "broken", "--strict-plugins"]) == Exit.PLUGIN


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    """The state folder of an engine that answers."""
    said = {"state": "running", "workers": 2, "rate": 310.26, "head": None, "in_flight": ["2-9"]}
    server = ControlServer(tmp_path / "state", "r", lambda command, args: said | args)
    server.start()
    yield tmp_path / "state"
    server.close()


def test_ctl_speaks_to_a_running_engine(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ctl", "status", "--state-dir", str(engine)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "state      running",
        "workers    2",
        "rate       310.3",
        'in_flight  ["2-9"]',
    ]
    assert cli.main(["ctl", "workers", "4", "--state-dir", str(engine), "--json"]) == 0
    assert '"count": 4' in capsys.readouterr().out
    assert cli.main(["ctl", "retry", "0018-33", "--state-dir", str(engine)]) == 0
    assert capsys.readouterr().out.startswith("retry: 0018-33 is tried now")
    assert cli.main(["ctl", "drain", "--state-dir", str(engine)]) == 0
    assert capsys.readouterr().out.startswith("draining")


def test_ctl_without_an_engine_is_7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ctl", "status", "--state-dir", str(tmp_path)]) == Exit.UNREACHABLE
    assert "no engine is running" in capsys.readouterr().err


def test_ctl_finds_the_engine_through_the_configuration(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "era: {era_id: e, version_label: v1, network: testnet, ledger_start: 2, ledger_end: 9,"
        " partition_size: 4}\n"
        f"source: {{mode: local, local_path: {tmp_path}}}\n"
        f"storage: {{backend: local, local_dir: {tmp_path}}}\n"
        f"checkpoint: {{enabled: true, dir: {engine}}}\n"
    )
    assert cli.main(["ctl", "status", "--config", str(config)]) == 0
    assert "running" in capsys.readouterr().out


def test_stderr_that_is_gone_does_not_matter(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, os.strerror(5))

    fake(raising(LockedError("held")))
    monkeypatch.setattr(sys, "stderr", Gone())
    assert cli.main(["fake"]) == Exit.LOCKED
