"""The configuration page, the schema and the example are what the models say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bronze_tui.config import reference, schema
from bronze_tui.config.keys import leaves, slots
from bronze_tui.config.load import load
from bronze_tui.config.models import Settings

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "config.example.yaml"
PAGE = REPO / "docs" / "configuration.md"
AGAIN = "run python -m bronze_tui.config.reference"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    assert reference.page(text) == text, AGAIN


def test_the_page_names_every_key_and_variable() -> None:
    text = PAGE.read_text("utf-8")
    for dotted, slot in leaves():
        assert f"| `{dotted}` |" in text
        assert not slot.key.env or f"`{slot.key.env}`" in text


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers"):
        reference.page("# Configuration\n")


def test_the_schema_is_up_to_date() -> None:
    assert (REPO / "config.schema.json").read_text("utf-8") == schema.as_text(), AGAIN


def test_the_example_loads_and_says_the_defaults(tmp_path: Path) -> None:
    loaded = load(EXAMPLE, (), {})
    assert loaded.warnings == ()
    assert loaded.settings.source_options().url.startswith("gs://")
    defaults = Settings.model_validate({"source": loaded.settings.source})
    assert loaded.settings == defaults


def test_the_example_shows_every_key() -> None:
    text = EXAMPLE.read_text("utf-8")
    blocks = re.split(r"(?m)^(?:# )?(?=[a-z]+:)", text)
    by_section = {block.partition(":")[0]: block for block in blocks}
    for name, slot in slots(Settings).items():
        assert re.search(rf"(?m)^(?:# )?{name}:", text), name
        for key in slots(slot.model) if slot.model else ():
            assert re.search(rf"\b{key}:", by_section[name]), f"{name}.{key}"


def test_what_the_example_has_commented_out_is_valid_too(tmp_path: Path) -> None:
    """Each commented key, uncommented alone in its section, loads."""
    tried = 0
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        commented = re.match(r"  # ([a-z_0-9]+: \S.*)", line)
        if commented is None or commented[1].startswith(("mode:", "backend:")):
            continue
        copy = [*lines[:number], f"  {commented[1]}", *lines[number + 1 :]]
        path = tmp_path / "c.yaml"
        path.write_text("\n".join(copy) + "\n", "utf-8")
        if commented[1].startswith('url: "s3://my-bronze'):
            path.write_text(path.read_text().replace('backend: "local"', 'backend: "s3"'))
        load(path, (), {})
        tried += 1
    assert tried > 20


@pytest.fixture(scope="module")
def validator() -> Any:
    document = schema.json_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def refusals(validator: Any, text: str) -> list[str]:
    """What the schema has against a configuration."""
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_schema_takes_the_example_and_what_yaml_makes_of_names(validator: Any) -> None:
    assert refusals(validator, EXAMPLE.read_text("utf-8")) == []
    text = (
        "era: {era_id: 1.10, version_label: 010, network: no, ledger_end: '${END}'}\n"
        "perf: {memory_budget: 1GiB, workers: 3}\n"
        "catalog:\n  postgres_dsn: ${DSN}\n"
        "source: {max_ledger_bytes: 1000, path_style: true, options: {a: b}}\n"
        "eras: [{era_id: a, network: n, ledger_start: 2}]\nactive_eras: [a]\nplugins:\n"
    )
    assert refusals(validator, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "erra: {}",
        "era: {partition_size: 0}",
        "era: {ledger_end: ten}",
        "source: {poll_interval: 0}",
        "source: {ledgers_per_file: 0}",
        "era: {ledger_end: 4294967296}",
        "perf: {memory_budget: 12 parsecs}",
        "logging: {level: loud}",
        "eras: [{era_id: a}]",
        "copier_id: [x]",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator: Any, text: str) -> None:
    assert refusals(validator, text) != []


def test_the_schema_takes_the_go_copiers_files(shared: Path, validator: Any) -> None:
    files = sorted((shared / "go-copier").glob("*/config.yaml"))
    assert files
    assert {path: refusals(validator, path.read_text("utf-8")) for path in files} == {
        path: [] for path in files
    }
