"""Layers, precedence, references, origins, and every problem at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.config.export import effective
from bronze_tui.config.load import Loaded, find_config, load
from bronze_tui.config.show import as_json, as_yaml
from bronze_tui.domain.errors import ConfigError, Exit

Write = Callable[[str], Path]
LOCAL = "source: {local_path: ./lake}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "c.yaml"
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    return write


def problems(path: Path | None, *sets: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, sets, environ)
    assert caught.value.exit_code is Exit.USAGE
    return [line.removeprefix(str(path.parent) + "/") if path else line for line in _lines(caught)]


def _lines(caught: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    assert str(caught.value).splitlines() == caught.value.problems
    return caught.value.problems


def test_names_keep_their_text(write: Write) -> None:
    text = LOCAL + "era: {era_id: 1.10, version_label: 010, network: no}\n"
    era = load(write(text), (), {}).settings.active()[0]
    assert era.chain_key == "no/1.10/010"


def test_precedence_set_over_file_over_default(write: Write) -> None:
    path = write(LOCAL + "era:\n  era_id: from_file\n  ledger_end: 90\n")
    loaded = load(path, ["era.ledger_end=100", "era.ledger_end=200"], {"ERA_ID": "from_env"})
    era = loaded.settings.era
    assert (era.era_id, era.ledger_end, era.version_label) == ("from_file", 200, "v1")
    assert loaded.origins["era.era_id"] == "file:3"
    assert loaded.origins["era.ledger_end"] == "--set"
    assert loaded.origins["era.version_label"] == "default"
    assert any("do not apply beside a file: ERA_ID" in line for line in loaded.warnings)


def test_environment_applies_without_a_file_and_below_set() -> None:
    environ = {"SOURCE_LOCAL_PATH": "/lake", "ERA_ID": "e", "LEDGER_END": "7"}
    loaded = load(None, ["era.ledger_end=9"], environ)
    assert loaded.path is None
    assert (loaded.settings.era.era_id, loaded.settings.era.ledger_end) == ("e", 9)
    assert loaded.origins["era.era_id"] == "environment ERA_ID"
    assert loaded.warnings == ()


def test_the_file_is_config_then_config_file_then_none(write: Write, tmp_path: Path) -> None:
    path = write(LOCAL + "copier_id: named\n")
    environ = {"CONFIG_FILE": str(path), "COPIER_ID": "environment"}
    assert load(None, (), environ).settings.copier_id == "named"
    other = tmp_path / "other.yaml"
    other.write_text(LOCAL + "copier_id: other\n")
    assert load(other, (), environ).settings.copier_id == "other"
    assert find_config(None, {}) is find_config(None, {"CONFIG_FILE": ""}) is None


def test_set_with_an_empty_value_restores_the_default(write: Write) -> None:
    loaded = load(write(LOCAL + "copier_id: x\n"), ["copier_id="], {})
    assert loaded.settings.copier_id == "bronze-copier-001"
    assert loaded.origins["copier_id"] == "default"


def test_empty_values_and_sections_are_no_values(write: Write) -> None:
    text = LOCAL + 'copier_id: ""\nera:\ncatalog:\n  postgres_dsn:\n  strict: ~\neras: []\n'
    loaded = load(write(text), (), {})
    assert loaded.settings.copier_id == "bronze-copier-001"
    assert set(loaded.origins.values()) == {"default", "file:1"}


def test_references_come_from_the_environment_beside_a_file_too(write: Write) -> None:
    text = LOCAL + "copier_id: a-${ID}-$${ID}-$ID-$$\ncatalog: {postgres_dsn: '${DSN}'}\n"
    loaded = load(write(text), (), {"ID": "7", "DSN": "postgres://u:hush@h/d"})
    assert loaded.settings.copier_id == "a-7-${ID}-$ID-$$"
    assert loaded.settings.catalog.postgres_dsn.get_secret_value() == "postgres://u:hush@h/d"
    assert "hush" not in repr(loaded)
    assert loaded.references["catalog.postgres_dsn"] == "${DSN}"


def test_broken_references_are_problems(write: Write) -> None:
    text = LOCAL + "copier_id: ${NOPE}\nera: {era_id: '${A:-b}', network: '${OPEN'}\n"
    found = problems(write(text))
    assert found == [
        "c.yaml:2:12: copier_id: environment variable NOPE is not set; set it or write the value",
        "c.yaml:3:15: era.era_id: not a reference; write ${NAME}, or $${ where ${ is meant",
        "c.yaml:3:35: era.network: not a reference; write ${NAME}, or $${ where ${ is meant",
    ]


def test_values_behind_references_stay_out_of_problems(write: Write) -> None:
    text = LOCAL + "era: {ledger_end: '${PIN}', era_id: '${BELL}'}\n"
    found = problems(write(text), PIN="hush", BELL="hush\a")
    assert "hush" not in "".join(found)
    assert "'${PIN}' is not a whole number" in found[0]
    assert "environment variable BELL holds the control character U+0007" in found[1]


def test_everything_wrong_is_said_at_once_in_file_order(write: Write) -> None:
    text = """\
era:
  era_id: ../up
  ledger_strt: 5
  ledger_start: 10
  ledger_end: 7
  partition_size: ten
  partition_size: 4
source:
  mode: gcs
  s3-region: x
  era_id: foo
  path_style: [a]
storge: {backend: local}
catalog: {postgres_dsn: hunter2}
perf: {memory_budget: 12 parsecs, on_failure: stop, workers: -1}
logging: {level: loud}
active_eras: [foo, bar, 3]
"""
    found = problems(write(text), "source.mod=x", "nothing", "metrics=1", PAS_ENABLED="x")
    expected = [
        "c.yaml:2:11: era.era_id: '../up' cannot be part of a path; use 1 to 64",
        "c.yaml:3:3: era.ledger_strt: unknown key; did you mean era.ledger_start?",
        "c.yaml:5:15: era.ledger_end: 7 is below ledger_start 10; raise it, or write 0",
        "c.yaml:6:19: era.partition_size: 'ten' is not a whole number; write digits",
        "c.yaml:7:3: era.partition_size: given twice, first in line 6; remove one of them",
        "c.yaml:9:9: source.gcs_bucket: is missing, although source.mode is gcs; write",
        "c.yaml:10:3: source.s3-region: unknown key; did you mean source.s3_region?",
        "c.yaml:11:3: source.era_id: unknown key; it belongs elsewhere: write era.era_id",
        "c.yaml:12:15: source.path_style: must be a single value",
        "c.yaml:13:1: storge: unknown key; did you mean storage?",
        "c.yaml:14:25: catalog.postgres_dsn: (not shown) is no PostgreSQL connection string",
        "c.yaml:15:23: perf.memory_budget: '12 parsecs' is not a size; write bytes",
        "c.yaml:15:47: perf.on_failure: 'stop' is not allowed; write 'halt' or 'skip'",
        "c.yaml:15:62: perf.workers: '-1' is below the least allowed, 0; change it",
        "c.yaml:16:18: logging.level: 'loud' is not allowed; write 'debug', 'info',",
    ]
    for start in expected:
        assert any(line.startswith(start) for line in found), (start, found)
    assert "--set: source.mod: unknown key; did you mean source.mode?" in found
    assert "--set nothing: no value; write --set KEY=VALUE" in found
    assert any(line.startswith("--set: metrics: is a section") for line in found)
    places = [line.split(":")[1:3] for line in found if line.startswith("c.yaml:")]
    assert places == sorted(places, key=lambda place: [int(number) for number in place])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("era: 5", "c.yaml:1:6: era: must be a section with keys below it"),
        ("eras: {a: 1}", "c.yaml:1:7: eras: must be a list of eras"),
        ("eras: [5]", "c.yaml:1:8: eras.0: is not an era"),
        ("active_eras: x", "c.yaml:1:14: active_eras: must be a list of names"),
        ("active_eras: [[x]]", "c.yaml:1:15: active_eras.0: must be a single value"),
        ("copier_id: [x]", "c.yaml:1:12: copier_id: must be a single value"),
        ("source: {options: x}", "c.yaml:1:19: source.options: must be a mapping"),
        ("xyzzy: 1", "c.yaml:1:1: xyzzy: unknown key; known here: copier_id, era, eras"),
        (
            "ledger_start: 1",
            "c.yaml:1:1: ledger_start: unknown key; it belongs elsewhere: write era",
        ),
        ("endpoint: x", "c.yaml:1:1: endpoint: unknown key; it belongs elsewhere: write source"),
        ("Era: {}", "c.yaml:1:1: Era: unknown key; did you mean era?"),
        ("bronze: {primary_table: x}", "c.yaml:1:25: bronze.primary_table: 'x' is not allowed"),
        ("copier_id: " + "x" * 201, "c.yaml:1:12: copier_id: 'xxx"),
        ("era: {ledger_end: 4294967296}", "c.yaml:1:19: era.ledger_end: '4294967296' is above"),
        ("era: {partition_size: 0}", "c.yaml:1:23: era.partition_size: '0' is below"),
        ("era: {partition_size: 10000001}", "c.yaml:1:23: era.partition_size: '10000001' is above"),
        ("source: {poll_interval: 0}", "c.yaml:1:25: source.poll_interval: '0' is not above, 0"),
        ('"\\e[31m": 1', "c.yaml:1:1: holds the control character U+001B"),
    ],
)
def test_single_problems(write: Write, text: str, problem: str) -> None:
    found = problems(write(text), "source.url=/lake")
    assert any(line.startswith(problem) for line in found), found
    assert all(line.isprintable() for line in found)


def test_an_empty_environment_says_what_is_needed() -> None:
    assert problems(None) == [
        "environment SOURCE_LOCAL_PATH: source.local_path: is missing, although source.mode is "
        "local; write where the lake is, here or as source.url; or give --config FILE"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("LEDGER_START", "abc"), ("PARTITION_SIZE", "0"), ("PAS_ENABLED", "1"), ("NETWORK", "a/b")],
)
def test_variables_that_do_not_parse_are_problems(name: str, text: str) -> None:
    environ = {"SOURCE_LOCAL_PATH": "/lake", name: text}
    (line,) = problems(None, **environ)
    assert line.startswith(f"environment {name}: ")
    assert repr(text) in line


def test_a_variable_with_control_characters_is_a_problem() -> None:
    (line,) = problems(None, SOURCE_LOCAL_PATH="/la\x1bke")
    assert line.startswith("environment SOURCE_LOCAL_PATH: source.local_path: holds the control")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    assert "no such file; check --config" in problems(tmp_path / "none.yaml")[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_set_takes_lists_maps_and_eras(write: Write) -> None:
    path = write("eras:\n  - {era_id: a, network: n, ledger_start: 2, ledger_end: 9}\n")
    sets = [
        "source.url=/lake",
        "plugins.allow=a, b",
        "plugins.disable=[]",
        "active_eras=[a]",
        "eras.0.ledger_end=99",
        "source.options.token=x=y",
        "storage.options.retries=3",
    ]
    loaded = load(path, sets, {})
    settings = loaded.settings
    assert settings.plugins.allow == ("a", "b")
    assert settings.plugins.disable == ()
    assert settings.active()[0].ledger_end == 99
    assert dict(settings.source_options().extra) == {"token": "x=y"}
    assert dict(settings.store_options().extra) == {"retries": "3"}
    assert loaded.origins["eras.0.ledger_end"] == "--set"
    assert loaded.origins["eras.0.era_id"] == "file:2"
    assert loaded.origins["active_eras"] == "--set"


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("era.", "unknown key"),
        ("=x", "unknown key"),
        ("eras.x.era_id=a", "unknown key"),
        (f"eras.{'9' * 5000}.era_id=a", "unknown key"),
        ("eras.0=a", "is a list of eras"),
        ("source.options=a", "is a mapping of names"),
        ("source.options.=a", "unknown key"),
        ("plugins.allow={a: b}", "is not a list of names"),
        ("plugins.allow=[a", "is not a list"),
        ("era.era_id=a\x07", "holds the control character"),
        ("era.ledger_strat=1", "did you mean era.ledger_start?"),
        ("ledger_start=1", "write era.ledger_start"),
        ("eras.3.network=n", "eras.3.era_id: is missing"),
    ],
)
def test_bad_sets(write: Write, argument: str, problem: str) -> None:
    found = problems(write(LOCAL), argument)
    assert any(problem in line or "no value" in line for line in found), found


def test_era_entries_need_their_names(write: Write) -> None:
    found = problems(write(LOCAL + "eras:\n  - version_label: v2\n"))
    assert sorted(line.split(": ")[1] for line in found) == [
        "eras.0.era_id",
        "eras.0.ledger_start",
        "eras.0.network",
    ]
    assert all(line.startswith("c.yaml:3:20: ") for line in found)


def test_files_others_may_read_should_hold_no_password(write: Write) -> None:
    path = write(LOCAL + "catalog: {postgres_dsn: 'postgres://u:hush@h/d'}\n")
    said = "others may read it and it holds catalog.postgres_dsn"
    assert said not in "".join(load(path, (), {}).warnings)
    path.chmod(0o640)
    assert said in "".join(load(path, (), {}).warnings)
    assert "hush" not in "".join(load(path, (), {}).warnings)
    path = write(LOCAL + "catalog: {postgres_dsn: 'postgres://user@h/d'}\n")
    path.chmod(0o644)
    assert said not in "".join(load(path, (), {}).warnings)


@pytest.mark.parametrize("token", ["hush", "hush==", "a=hush"])
def test_a_token_is_a_secret_whatever_it_looks_like(write: Write, token: str) -> None:
    path = write(LOCAL + f"pas: {{enabled: true, token: '{token}'}}\n")
    path.chmod(0o640)
    loaded = load(path, (), {})
    assert "it holds pas.token" in "".join(loaded.warnings)
    shown = [as_json(loaded), as_yaml(loaded), effective(loaded).text, repr(loaded)]
    assert "hush" not in "".join([*shown, *loaded.warnings])
    assert "BRONZE_PAS_TOKEN" in effective(loaded).variables or "PAS_TOKEN" in shown[2]
    assert loaded.settings.emitter_options().token == token
    with pytest.raises(ConfigError) as caught:
        load(path, ["pas.token=hush\thush"], {})
    assert "hush" not in str(caught.value)


def test_loaded_is_frozen(write: Write) -> None:
    loaded: Loaded = load(write(LOCAL), (), {})
    with pytest.raises(AttributeError):
        loaded.path = None  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        loaded.settings.copier_id = "x"


def assert_loads_or_is_refused(path: Path, *sets: str) -> None:
    refused = None
    try:
        load(path, ["source.url=/lake", *sets], {})
    except ConfigError as error:
        refused = error
    assert refused is None or refused.problems


@given(st.binary(max_size=300))
def test_arbitrary_bytes_load_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    assert_loads_or_is_refused(path)


SECTIONS = ["era", "eras", "source", "storage", "catalog", "pas", "perf", "active_eras", "plugins"]
SCALARS = st.text("abc01 :{}[]'\"$-~é", max_size=8)
NODES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["era_id", "network", "mode", "url", "options", "workers", "x", "allow"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(SECTIONS), NODES, max_size=5), st.lists(SCALARS, max_size=3))
def test_arbitrary_shapes_load_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object], sets: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "shape.yaml"
    path.write_text(json.dumps(tree), "utf-8")
    assert_loads_or_is_refused(path, *sets)
