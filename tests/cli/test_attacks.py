"""The attacks of docs/verify.md: each against a real copy, by whoever can write every file of it.

Whatever the attacker can make consistent is made consistent, so that the test shows the first
level, or the first thing kept elsewhere, that sees it; everything before it sees nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from copying import Site
from forging import KEY as CHAIN_KEY
from forging import change_rows, copy_of, events, folder, parquet, record, write_chain

from bronze_tui.audit.canonical import event_hash, file_bytes, heads_bytes
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.memory import memory_folder, recall
from bronze_tui.audit.names import HEADS_FILE, event_name, signed_head_name
from bronze_tui.audit.note import SigningKey
from bronze_tui.audit.signedhead import leaf_hashes, sign_head
from bronze_tui.commands.verify import command
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import write_tiny_lake

DOC = (Path(__file__).parents[2] / "docs/verify.md").read_text()
KEY = SigningKey("example.com/b", bytes(range(32)))
CUT = {"era.ledger_end": 17, "era.partition_size": 4}
PARTITIONS = ("2-5", "6-9", "10-13", "14-17")


def make_site(root: Path, seed: int = 0, network: str = "testnet") -> Site:
    write_tiny_lake(root / "lake", count=16, network_passphrase=PASSPHRASES[network], seed=seed)
    site = Site(root, root / "lake", CUT)
    assert site.run().code == 0
    return site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    """The truth, another history of the same ledgers, and the same ledgers of another network."""
    return {
        "truth": make_site(tmp_path_factory.mktemp("truth")),
        "fake": make_site(tmp_path_factory.mktemp("fake"), seed=1),
        "foreign": make_site(tmp_path_factory.mktemp("foreign"), network="pubnet"),
    }


@dataclass
class Case:
    """A copy under attack, and what its auditor has kept elsewhere."""

    site: Site
    made: dict[str, Site]
    kept: Path = field(init=False)
    anchors: Path = field(init=False)

    def __post_init__(self) -> None:
        self.kept, self.anchors = self.site.root / "kept-head", self.site.root / "anchors"
        rows = {row["ledger_sequence"]: row["ledger_hash"] for row in self.site.rows()}
        self.anchors.write_text(json.dumps([[17, rows[17]]]))
        self.sign(self.kept)

    @property
    def chain(self) -> list[AuditEvent]:
        return events(self.site)

    def sign(self, path: Path | None = None, size: int | None = None) -> None:
        """What the operator signs and publishes, or the auditor keeps."""
        target = path or self.site.pas / signed_head_name(CHAIN_KEY)
        target.write_bytes(sign_head(leaf_hashes(self.chain[:size]), CHAIN_KEY, KEY))

    def put(self, chain: list[AuditEvent]) -> None:
        """Link anew and write, heads file too."""
        write_chain(self.site, chain)
        self.heads()

    def heads(self) -> None:
        report = verify_folder(self.site.pas).chains[0]
        (self.site.pas / HEADS_FILE).write_bytes(heads_bytes({CHAIN_KEY: report.head}))

    def errors(self, level: str, *args: object, memory: bool = False) -> set[str]:
        words = [str(self.site.pas), "--data", str(self.site.data), "--level", level, "--json"]
        words += [] if memory else ["--no-memory"]
        result = CliRunner().invoke(command, [*words, *map(str, args)])
        if isinstance(result.exception, BronzeError):
            raise result.exception
        doc = json.loads(result.output)
        found = [f for chain in doc["chains"] for f in chain["findings"]] + doc["findings"]
        found += (doc.get("depth") or {}).get("findings", [])
        return {f["kind"] for f in found if f["severity"] == "error"}


@pytest.fixture
def case(made: dict[str, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.delenv("BRONZE_VKEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user-state"))
    found = Case(copy_of(made["truth"], tmp_path), made)
    recall(verify_folder(found.site.pas), memory_folder(os.environ), now=1_768_213_784.0)
    return found


def edit_event(case: Case) -> None:
    path = case.site.pas / event_name(case.chain[1])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"row_count": 4', b'"row_count": 5'))


def cut(count: int) -> Callable[[Case], None]:
    def act(case: Case) -> None:
        case.put(case.chain[:-count])
        for partition in PARTITIONS[-count:]:
            shutil.rmtree(folder(case.site, partition))
            record(case.site, partition).unlink()

    return act


def drop_middle(case: Case) -> None:
    (case.site.pas / event_name(case.chain[1])).unlink()


def drop_and_link(case: Case) -> None:
    chain = case.chain
    case.put([chain[0], *chain[2:]])


def fake_everything(case: Case) -> None:
    for name in ("data", "pas"):
        shutil.rmtree(case.site.root / name)
        shutil.copytree(case.made["fake"].root / name, case.site.root / name)


def other_times(case: Case) -> None:
    case.put([replace(e, timestamp="2020-01-01T00:00:00Z") for e in case.chain])


def fake_after_the_head(case: Case) -> None:
    case.sign(size=2)
    for partition in PARTITIONS[2:]:
        theirs = pq.read_table(parquet(case.made["fake"], partition)).to_pylist()
        change_rows(case.site, partition, lambda _, rows=theirs: rows)
    case.heads()


def other_times_after_the_head(case: Case) -> None:
    chain = case.chain
    case.sign(case.kept, size=2)
    case.put([*chain[:2], *(replace(e, timestamp="2020-01-01T00:00:00Z") for e in chain[2:])])
    case.sign()


def fork(case: Case) -> None:
    other = replace(case.chain[2], timestamp="2020-01-01T00:00:00Z", event_hash="")
    other = replace(other, event_hash=event_hash(other))
    name = f"{event_name(other)[:-5]}.{other.event_hash[7:15]}.json"
    (case.site.pas / name).write_bytes(file_bytes(other))


def two_histories(case: Case) -> None:
    """The auditor kept what he was shown; this is what others are shown, signed as well."""
    other_times(case)
    case.sign()


def replay(case: Case) -> None:
    name = event_name(case.chain[0])
    shutil.copy(case.site.pas / name, case.site.pas / "testnet_first_v1_18-21.json")


def reorder(case: Case) -> None:
    first, second, third, last = case.chain
    case.put([first, third, second, last])


def repeat(case: Case) -> None:
    again = replace(case.chain[1], event_id="pas_evt_00000000000000ff", event_hash="")
    again = replace(again, prev_event_hash=case.chain[-1].event_hash)
    again = replace(again, event_hash=event_hash(again))
    name = f"{event_name(again)[:-5]}.{again.event_hash[7:15]}.json"
    (case.site.pas / name).write_bytes(file_bytes(again))
    case.heads()


def leave_a_gap(case: Case) -> None:
    chain = case.chain
    case.put([*chain[:2], replace(chain[2], ledger_start=11), chain[3]])


def alter_file(case: Case) -> None:
    path = parquet(case.site, "6-9")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(whole)


def relabel(case: Case) -> None:
    chain = case.chain
    case.put([*chain[:2], replace(chain[2], network="pubnet"), chain[3]])


def foreign_rows(case: Case) -> None:
    for partition in PARTITIONS:
        theirs = pq.read_table(parquet(case.made["foreign"], partition)).to_pylist()
        rows = [row | {"network": "testnet"} for row in theirs]
        change_rows(case.site, partition, lambda _, rows=rows: rows)
    case.heads()


@dataclass(frozen=True)
class Attack:
    """What is done; what sees it, with which finding; what sees nothing before that."""

    name: str
    act: Callable[[Case], None]
    seen_by: str
    kind: str
    blind: tuple[str, ...] = ()


MEMORY, HEAD, KEPT, ANCHOR = "memory", "signed head", "kept head", "anchor"
ATTACKS = [
    Attack("one event is edited", edit_event, "chain", "hash_mismatch"),
    Attack("the last event is cut off", cut(1), MEMORY, "chain_shrank", ("row",)),
    Attack("the last three events are cut off", cut(3), HEAD, "signed_head_ahead", ("row",)),
    Attack("an event in the middle is removed", drop_middle, "chain", "missing_event"),
    Attack("it is removed and the rest linked anew", drop_and_link, "chain", "gap"),
    Attack(
        "everything is made anew with ledgers that never were",
        fake_everything,
        ANCHOR,
        "anchor_mismatch",
        ("ledger",),
    ),
    Attack(
        "everything is made anew with true ledgers, other times",
        other_times,
        MEMORY,
        "chain_changed",
        ("ledger",),
    ),
    Attack(
        "what is newer than the signed head is replaced by false ledgers",
        fake_after_the_head,
        "row",
        "ledger_link",
        (HEAD, "file"),
    ),
    Attack(
        "what is newer than the kept head is announced anew, at other times",
        other_times_after_the_head,
        MEMORY,
        "chain_changed",
        (KEPT, "ledger"),
    ),
    Attack("a fork is made and both sides kept", fork, "chain", "fork"),
    Attack(
        "others are shown another chain, signed too",
        two_histories,
        KEPT,
        "signed_head_mismatch",
        (HEAD, "ledger"),
    ),
    Attack("an old event is put in again", replay, "chain", "duplicate_event"),
    Attack("events are put in another order, linked anew", reorder, "chain", "out_of_order"),
    Attack("ledgers are announced a second time", repeat, "chain", "duplicate_range"),
    Attack("ledgers are left out between two events", leave_a_gap, "chain", "gap"),
    Attack(
        "a file is altered behind its event", alter_file, "file", "file_mismatch", ("manifest",)
    ),
    Attack("an event is relabelled for another network", relabel, "chain", "foreign_event"),
    Attack(
        "another network's ledgers lie under this label",
        foreign_rows,
        "ledger",
        "signature",
        ("row",),
    ),
]


def seen(case: Case, by: str) -> set[str]:
    vkey = ("--vkey", KEY.verify_key)
    ways: dict[str, Callable[[], set[str]]] = {
        MEMORY: lambda: case.errors("chain", memory=True),
        HEAD: lambda: case.errors("chain", *vkey),
        KEPT: lambda: case.errors("chain", *vkey, "--old-head", case.kept),
        ANCHOR: lambda: case.errors("ledger", "--anchors", case.anchors),
    }
    return ways[by]() if by in ways else case.errors(by)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(case: Case, attack: Attack) -> None:
    case.sign()
    attack.act(case)
    for before in attack.blind:
        assert seen(case, before) == set(), before
    assert attack.kind in seen(case, attack.seen_by)


def test_nothing_is_seen_where_nothing_was_done(case: Case) -> None:
    case.sign()
    for by in ("ledger", MEMORY, HEAD, KEPT, ANCHOR):
        assert seen(case, by) == set(), by


def test_the_documentation_lists_every_attack() -> None:
    rows: list[Any] = re.findall(r"^\| ([^|`]+?) \| ([a-z ]+?) \| `(\w+)` \|$", DOC, re.MULTILINE)
    assert rows == [(a.name, a.seen_by, a.kind) for a in ATTACKS]
