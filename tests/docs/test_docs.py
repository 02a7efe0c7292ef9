"""The pages say what the code does: commands, options, keys, codes, columns, events, links.

Run as a program (``python tests/docs/test_docs.py``) it writes the generated tables anew.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import shlex
import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bronze_tui import cli
from bronze_tui.config.keys import leaves
from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import Exit
from bronze_tui.domain.events import KINDS, EngineEvent

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").glob("*.md"))]
FORMATS = REPO / "docs" / "formats.md"
AGAIN = "run python tests/docs/test_docs.py"

SECTIONS = {name for name, field in Settings.model_fields.items() if field.annotation is not None}
KEYS = {dotted.replace("[]", "") for dotted, _ in leaves()}
FILES = {"catalog.sqlite", "bronze.jsonl"}
FOOTER_KEYS = {f"bronze.{key}" for key in ("era_id", "network", "schema_version", "table")}
NOT_KEYS = FILES | FOOTER_KEYS | {"bronze.version_label"}
PLUGIN_COMMANDS = {"shout"}
"""Commands that a page's example plugin adds."""
TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "list[str]": "list of texts",
}


def read(path: Path) -> str:
    return path.read_text("utf-8")


def code(text: str) -> Iterator[str]:
    """Lines of code blocks, and code spans outside them."""
    inside = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif inside:
            yield line
        else:
            yield from re.findall(r"`([^`]+)`", line)


def commands(text: str) -> Iterator[list[str]]:
    """Every ``bronze ...`` that a page shows, without comments and shell operators."""
    for piece in code(text):
        line = piece.strip().removeprefix("$ ").replace(".venv/bin/bronze", "bronze")
        line = line.replace("\\|", "|")
        if re.match(r"bronze( |$)", line):
            words = shlex.split(line, comments=True)
            stop = next((i for i, w in enumerate(words) if w in ("|", ">", "&&", ";")), len(words))
            yield [word.rstrip(",;") for word in words[1:stop]]


def find(words: list[str]) -> tuple[click.Command, list[str], list[str]]:
    """The click command that a command line means, its name's words, and the rest."""
    rewritten = cli.rewrite(words, cli.COMMANDS.__contains__) if words else ["run"]
    if rewritten[:1] == ["--version"] or rewritten[:1] == ["--help"]:
        return cli.group, [], rewritten
    name, *rest = rewritten
    assert name in cli.COMMANDS, name
    command = cli.group.get_command(click.Context(cli.group), name)
    assert command is not None
    names = [name]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        below = rest.pop(0)
        for each in below.split("|"):
            assert each in command.commands, f"bronze {' '.join(names)} {each}"
        command = command.commands[below.split("|")[0]]
        names.append(below)
    return command, names, rest


def options(command: click.Command) -> set[str]:
    found = {"--help", "-h"}
    for param in command.params:
        found |= {*param.opts, *param.secondary_opts} if isinstance(param, click.Option) else set()
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_and_option_shown_exists(page: Path) -> None:
    for words in commands(read(page)):
        if words[:1] and words[0] in PLUGIN_COMMANDS:
            continue
        command, names, rest = find(words)
        known = options(command)
        for word in rest:
            if word.startswith("-"):
                option = word.partition("=")[0]
                assert option in known, f"bronze {' '.join(names)} {option}"
        if names == ["ctl"] and rest:
            action = next((w for w in rest if not w.startswith("-")), "")
            argument = command.params[0]
            assert isinstance(argument.type, click.Choice)
            for each in action.split("|"):
                assert each in argument.type.choices, each


def test_every_option_named_alone_exists_somewhere() -> None:
    known = {"--version"}
    for name in cli.COMMANDS:
        command, _, _ = find([name, "--help"])
        known |= options(command)
        if isinstance(command, click.Group):
            for below in command.commands.values():
                known |= options(below)
    scripts = [*(REPO / "tests" / "faults").glob("*.py"), *(REPO / "bench").glob("*.py")]
    for script in scripts:
        known |= set(re.findall(r'add_argument\("(--[a-z-]+)"', read(script)))
    for page in PAGES:
        for piece in code(read(page)):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", piece):
                if "ruff" not in piece and "pip" not in piece:
                    assert option in known, f"{page.name}: {option} in {piece!r}"


def test_the_commands_of_the_page_are_seen() -> None:
    """The parser above is not blind."""
    seen = {tuple(words[:1]) for page in PAGES for words in commands(read(page))}
    assert {("run",), ("status",), ("ctl",), ("verify",), ("ledger",)} <= seen
    with pytest.raises(AssertionError):
        find(["fly"])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_configuration_key_named_exists(page: Path) -> None:
    for piece in code(read(page)):
        for section, key in re.findall(r"(?<![\w./:@-])([a-z]+)\.([a-z_0-9]+)(?![\w./(-])", piece):
            dotted = f"{section}.{key}"
            if section not in SECTIONS or dotted in NOT_KEYS or re.search(r"import|\.py", piece):
                continue
            near = any(k.startswith(f"{dotted}.") for k in KEYS)
            assert dotted in KEYS or near or section == "eras", f"{page.name}: {dotted}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_relative_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(read(file)), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_of_the_repository_named_exist(page: Path) -> None:
    for piece in code(read(page)):
        for name in re.findall(
            r"(?<![\w/.])(?:tests|bench|docs|plugins|bronze_tui)/[\w/.-]+", piece
        ):
            assert (REPO / name.rstrip(".,:")).exists(), f"{page.name}: {name}"


def anchors(text: str) -> set[str]:
    """Heading anchors as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_page_knows_a_machine(page: Path) -> None:
    text = read(page)
    found = re.findall(r"(?<![\w.])/(?:work|root|home|tmp|Users|mnt|opt)/\S*", text)
    assert not found, found
    assert not re.search(r"(?i)\b(DESIGN|FACTS|TRUST|COMMIT|BEHAVIOUR|HASHING)\.md\b", text)


@pytest.mark.parametrize("page", [REPO / "docs" / "runbook.md"], ids=lambda p: p.name)
def test_exit_codes_are_those_of_the_code(page: Path) -> None:
    rows = re.findall(r"(?m)^\| `(\d+)` \| (\w+) \|", read(page))
    assert rows == [(str(int(code)), code.name) for code in Exit]


def test_the_readme_names_every_exit_code() -> None:
    paragraph = re.search(r"Exit codes: (.*?)\n\n", read(REPO / "README.md"), re.DOTALL)
    assert paragraph is not None
    assert [int(n) for n in re.findall(r"\b(\d+)\b", paragraph[1])] == [int(c) for c in Exit]


def test_the_event_table_is_up_to_date() -> None:
    text = read(FORMATS)
    assert with_tables(text) == text, AGAIN


def test_the_columns_are_those_of_the_schema() -> None:
    from bronze_tui.tables.schema import COLUMNS

    body = section(read(FORMATS), "columns")
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| (yes|no) \|", body)
    expected = [(n, str(t).replace(", tz", " tz"), "yes" if ok else "no") for n, t, ok in COLUMNS]
    assert rows == expected


def test_the_writer_options_are_those_of_the_writer() -> None:
    from bronze_tui.domain.era import Era
    from bronze_tui.tables.parquet import Compression, options_digest, writer_options
    from bronze_tui.tables.rows import ROW_GROUP_BYTES, ROW_GROUP_ROWS
    from bronze_tui.tables.schema import raw_schema

    schema = raw_schema(Era("n", "e", "v1", 2, None, 1))
    compression = Compression.parse("zstd:3")
    body = section(read(FORMATS), "writer")
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| `([^`]+)` \|", body))
    expected = {k: repr(v) for k, v in writer_options(compression, schema).items()}
    expected["write_statistics"] = "every column but xdr_bytes"
    expected["row_group_bytes"] = str(ROW_GROUP_BYTES)
    expected["row_group_rows"] = str(ROW_GROUP_ROWS)
    assert rows == expected
    assert options_digest(compression, schema) in body
    keys = {key.decode() for key in schema.metadata}
    assert set(re.findall(r"`(bronze\.\w+)`", section(read(FORMATS), "metadata"))) == keys


def test_the_worked_content_hash_is_right() -> None:
    from bronze_tui.tables.reread import ContentHash

    body = section(read(FORMATS), "content-hash")
    rows = re.findall(r"(?m)^\| `(\d+)` \| `([0-9a-f]{64})` \| `([0-9a-f]{64})` \|", body)
    assert len(rows) == 2
    content = ContentHash()
    for sequence, own, sha in rows:
        content.add(int(sequence), bytes.fromhex(own), bytes.fromhex(sha))
    assert f"`{content.digest()}`" in body
    joined = b"".join(
        int(s).to_bytes(4, "big") + bytes.fromhex(own) + bytes.fromhex(sha) for s, own, sha in rows
    )
    assert content.digest() == "sha256:" + hashlib.sha256(joined).hexdigest()


def test_the_worked_root_and_logical_hashes_are_right() -> None:
    """By hand: two leaves, and two columns of two rows."""
    text = read(FORMATS)
    rows = re.findall(
        r"(?m)^\| `(\d+)` \| `([0-9a-f]{64})` \| `([0-9a-f]{64})` \|", section(text, "content-hash")
    )

    def sha(*parts: bytes) -> bytes:
        return hashlib.sha256(b"".join(parts)).digest()

    leaves = [
        sha(b"\x00", int(sequence).to_bytes(4, "big"), bytes.fromhex(own), bytes.fromhex(xdr))
        for sequence, own, xdr in rows
    ]
    assert f"`sha256:{sha(bytes([1]), *leaves).hex()}`" in text
    count, present = (2).to_bytes(8, "little"), sha(bytes([1, 1]))
    numbers = sha(*(int(row[0]).to_bytes(8, "little") for row in rows))
    assert f"`{sha(b'uint64', bytes(1), count, present, sha(), numbers).hex()}`" in text
    lengths = sha(*[(64).to_bytes(8, "little")] * 2)
    texts = sha(*(row[1].encode() for row in rows))
    assert f"`{sha(b'string', bytes(1), count, present, lengths, texts).hex()}`" in text


def test_the_worked_content_hash_is_of_the_demo_lake(tmp_path: Path) -> None:
    from bronze_tui.commands import demo
    from bronze_tui.testing.tiny_lake import write_tiny_lake

    lake = write_tiny_lake(tmp_path, first=demo._FIRST, count=demo._COUNT)
    body = section(read(FORMATS), "content-hash")
    for sequence in (2, 3):
        fact = lake.fact(sequence)
        assert f"| `{sequence}` | `{fact.ledger_hash}` | `{fact.xdr[1]}` |" in body


def test_the_catalog_tables_are_those_of_the_schema() -> None:
    from bronze_tui.catalog import deliveries
    from bronze_tui.catalog.schema import metadata

    assert deliveries.table.metadata is metadata

    body = section(read(FORMATS), "catalog")
    rows = dict(re.findall(r"(?m)^\| `(_\w+)` \| ([^|]+) \|", body))
    view = rows.pop("_meta_coverage")
    assert re.findall(r"`(\w+)`", view)
    expected = {t.name: [c.name for c in t.columns] for t in metadata.tables.values()}
    assert {name: re.findall(r"`(\w+)`", cells) for name, cells in rows.items()} == expected


def test_the_coverage_view_is_the_one_shown() -> None:
    from bronze_tui.catalog import schema

    body = section(read(FORMATS), "catalog")
    shown = re.findall(r"(?m)^\| `_meta_coverage` \| ([^|]+) \|", body)[0]
    with sqlite3.connect(":memory:") as connection:
        for table in ("_meta_datasets", "_meta_lineage"):
            columns = ", ".join(schema.metadata.tables[table].columns.keys())
            connection.execute(f"create table {table} ({columns})")
        connection.execute(schema.COVERAGE_VIEW)
        cursor = connection.execute("select * from _meta_coverage")
    assert re.findall(r"`(\w+)`", shown) == [d[0] for d in cursor.description]


def test_the_examples_of_json_records_are_in_our_form() -> None:
    """Manifest, commit record and checkpoint as shown are read, and written back to the same."""
    from bronze_tui.domain.checkpoint import Checkpoint
    from bronze_tui.domain.era import Era
    from bronze_tui.domain.partition import CommitRecord, Manifest, dump

    era = Era("demo", "first", "v1", 2, 256, 64)
    text = read(FORMATS)
    shown = {
        name: example(section(text, name)) for name in ("manifest", "commit", "hole", "checkpoint")
    }
    manifest = Manifest.from_json(shown["manifest"], era, where="manifest")
    commit = CommitRecord.from_json(shown["commit"], era, where="commit")
    checkpoint = Checkpoint.from_json(shown["checkpoint"], where="checkpoint")
    assert manifest.to_json() == shown["manifest"]
    assert commit.to_json() == shown["commit"]
    assert checkpoint.to_json() == shown["checkpoint"]
    assert dump(json.loads(shown["hole"])) == shown["hole"]
    assert commit.tables == manifest.tables
    digest = hashlib.sha256(shown["manifest"]).hexdigest()
    assert commit.manifests == (("ledgers_lcm_raw", f"sha256:{digest}"),)


def example(body: str) -> bytes:
    found = re.search(r"(?s)```json\n(.*?)\n```", body)
    assert found is not None
    return found[1].encode()


def section(text: str, name: str) -> str:
    """Between ``<!-- name: begin -->`` and its end."""
    found = re.search(rf"(?s)<!-- {name}: begin[^\n]*-->\n(.*?)<!-- {name}: end -->", text)
    assert found is not None, name
    return found[1]


def test_the_metrics_named_are_served() -> None:
    from bronze_tui.headless.metrics import RunMetrics

    served = {
        sample.name.removesuffix("_created")
        for family in RunMetrics().registry.collect()
        for sample in family.samples
    } | {family.name for family in RunMetrics().registry.collect()}
    served |= {f"{family.name}_total" for family in RunMetrics().registry.collect()}
    named = set(re.findall(r"`(bronze_copier_\w+)`", read(REPO / "docs" / "runbook.md")))
    assert named
    assert named <= served, named - served


def with_tables(text: str) -> str:
    """The page with its generated table made anew."""
    begin, end = "<!-- events: begin (python tests/docs/test_docs.py) -->", "<!-- events: end -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    assert tail, "the page lacks the markers"
    return f"{head}{begin}\n\n{event_tables()}\n{end}{tail}"


def event_tables() -> str:
    """One row a kind of event: when it comes, its fields and their types."""
    lines = ["| kind | when and what | fields |", "|---|---|---|"]
    for kind, cls in KINDS.items():
        notes = "".join(f" `{name}`: {note}" for name, note in field_notes(cls).items())
        listed = ", ".join(f"`{name}` {plain_type(declared)}" for name, declared in fields(cls))
        lines.append(f"| `{kind}` | {first_line(cls)}{notes} | {listed} |".replace("``", "`"))
    return "\n".join(lines) + "\n"


def first_line(cls: type[EngineEvent]) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split())


def fields(cls: type[EngineEvent]) -> Iterator[tuple[str, str]]:
    for name, declared in inspect.get_annotations(cls).items():
        if name != "kind":
            yield name, str(declared)


def plain_type(declared: str) -> str:
    name, _, optional = declared.partition(" | ")
    return TYPES[name] + (" or null" if optional else "")


def field_notes(cls: type[EngineEvent]) -> dict[str, str]:
    """Docstrings that stand below fields."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for before, node in zip(body.body, body.body[1:], strict=False):
        named = isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if named and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = " ".join(str(node.value.value).split())
            notes[before.target.id] = text.replace("None", "null")
    return notes


if __name__ == "__main__":
    FORMATS.write_text(with_tables(read(FORMATS)), "utf-8")


def test_every_picture_is_shown_and_small() -> None:
    pictures = {path.name: path.stat().st_size for path in (REPO / "docs/screenshots").glob("*")}
    shown = (REPO / "README.md").read_text("utf-8") + (REPO / "docs/tui.md").read_text("utf-8")
    assert len(pictures) >= 9
    for name, size in pictures.items():
        assert f"screenshots/{name}" in shown
        assert size < 150_000, name
    for name in re.findall(r"screenshots/([a-z-]+\.png)", shown):
        assert name in pictures
