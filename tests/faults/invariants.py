"""Judges what a copy left behind against the commit protocol's ten invariants.

It shares no code with the engine: hashes are recomputed here, from what ``evidence`` gathered.
The ninth, that another run changes no byte, needs that run; ``Evidence.bytes`` is what to compare.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from copying import Site
from evidence import HEADS, TABLE, Evidence, gather


def check(
    site: Site, *, after_recovery: bool, clean: dict[str, str] | None = None, first: int = 2
) -> list[str]:
    """Violations, one line each, empty when all is well.

    Args:
        after_recovery: a rerun went to its end since the crash, so everything must be whole.
        clean: SHA-256 by name of each partition file of a crash-free copy.
        first: the era's first ledger.
    """
    return judge(gather(site), after_recovery=after_recovery, clean=clean, first=first)


def judge(
    evidence: Evidence,
    *,
    after_recovery: bool,
    clean: dict[str, str] | None = None,
    first: int = 2,
) -> list[str]:
    """As ``check``, of what was gathered."""
    return _Check(evidence, after_recovery, clean, first).run()


def partition_digests(site: Site) -> dict[str, str]:
    """SHA-256 of every partition file by its name."""
    return _digests(gather(site))


def _digests(evidence: Evidence) -> dict[str, str]:
    files = {k: d for k, d in evidence.objects.items() if k.endswith(".parquet")}
    return {key.rpartition("/")[2]: _sha256(data) for key, data in files.items()}


@dataclass
class _Check:
    evidence: Evidence
    after_recovery: bool
    clean: dict[str, str] | None
    first: int
    wrong: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        seen = self.evidence
        self.catalog = seen.catalog
        self.objects = seen.objects
        self.commits = {
            key.removeprefix("_commits/").removesuffix(".json"): data
            for key, data in sorted(seen.objects.items())
            if key.startswith("_commits/") and key.endswith(".json")
        }
        self.files = {name: d for name, d in sorted(seen.events.items()) if name != HEADS}
        if self.catalog.damage:
            self._say(3, f"catalog is damaged: {self.catalog.damage}")
        self._commit_records()
        self._manifests()
        self._leftovers()
        self._lineage()
        self._events()
        self._chain()
        self._head_file()
        self._ranges()
        self._checkpoint()
        self._endpoint()
        self._partitions()
        return self.wrong

    def _say(self, invariant: int, what: str) -> None:
        self.wrong.append(f"I{invariant}: {what}")

    def _commit_records(self) -> None:
        for name, data in self.commits.items():
            record = _json(data)
            if record is None:
                self._say(1, f"commit record {name} is torn")
                continue
            part = record["partition"]
            if f"{part['start']}-{part['end']}" != name:
                self._say(1, f"commit record {name} speaks of {part}")
            for table, facts in record["tables"].items():
                folder = f"{table}/range={name}"
                self._file(1, f"{folder}/{facts['file']}", facts)
                manifest = self.objects.get(f"{folder}/_manifest.json")
                if manifest is None:
                    self._say(1, f"{name} is committed without its manifest")
                elif _prefixed(manifest) != record["manifests"][table]:
                    self._say(1, f"manifest of committed {name} is another one")

    def _file(self, invariant: int, key: str, facts: dict[str, Any]) -> None:
        data, name = self.objects.get(key), key.rpartition("/")[2]
        if data is None:
            self._say(invariant, f"{name} is missing")
        elif len(data) != facts["byte_size"]:
            self._say(invariant, f"{name} has {len(data)} of {facts['byte_size']} bytes")
        elif _prefixed(data) != facts["checksum"]:
            self._say(invariant, f"{name} has other bytes than were announced")

    def _manifests(self) -> None:
        for key, data in sorted(self.objects.items()):
            folder, _, name = key.rpartition("/")
            if name != "_manifest.json" or not folder.startswith(f"{TABLE}/"):
                continue
            manifest = _json(data)
            if manifest is None:
                self._say(2, f"{key} is torn")
                continue
            for facts in manifest["tables"].values():
                self._file(2, f"{folder}/{facts['file']}", facts)

    def _leftovers(self) -> None:
        if self.after_recovery:
            for name in self.evidence.leftovers:
                self._say(2, f"{name} was left behind")

    def _lineage(self) -> None:
        rows: dict[str, int] = {}
        for row in self.catalog.lineage:
            name = f"{row['ledger_start']}-{row['ledger_end']}"
            rows[name] = rows.get(name, 0) + 1
            record = _json(self.commits.get(name, b"null"))
            if record is None:
                self._say(3, f"lineage row {name} has no commit record")
                continue
            facts = record["tables"]["ledgers_lcm_raw"]
            found = (row["checksum"], row["row_count"], row["byte_size"])
            if found != (facts["checksum"], facts["row_count"], facts["byte_size"]):
                self._say(3, f"lineage row {name} says other things than its commit record")
        for name, count in rows.items():
            if count > 1:
                self._say(3, f"{name} has {count} lineage rows")
        waiting = sorted(set(self.commits) - set(rows))
        if len(waiting) > (0 if self.after_recovery else 1):
            self._say(3, f"commit records without lineage: {', '.join(waiting)}")

    def _events(self) -> None:
        """Lineage and chain are one transaction; files are the chain's bytes, never others."""
        chain = {f"{r['ledger_start']}-{r['ledger_end']}": r for r in self.catalog.chain}
        lineage = {f"{r['ledger_start']}-{r['ledger_end']}" for r in self.catalog.lineage}
        for name in sorted(lineage ^ set(chain)):
            self._say(4, f"{name} stands in only one of lineage and chain")
        for name, row in chain.items():
            data = self.commits.get(name)
            if data is not None and _prefixed(data) != row["commit_sha256"]:
                self._say(4, f"chain row {name} was made from another commit record")
        known = {bytes(row["event"]): name for name, row in chain.items()}
        filed: dict[str, int] = {}
        for file, data in self.files.items():
            owner = known.get(data)
            event = _json(data)
            if event is None:
                self._say(4, f"event file {file} is torn")
            elif _range_of(event) not in self.commits:
                self._say(4, f"event {file} announces what is not committed")
            elif owner is None:
                self._say(4, f"event file {file} is not what the catalog holds")
            else:
                filed[owner] = filed.get(owner, 0) + 1
        for name, row in chain.items():
            due = bool(row["filed"]) or self.after_recovery
            if filed.get(name, 0) != 1 and (due or filed.get(name)):
                self._say(4, f"event {name} has {filed.get(name, 0)} files")
            if self.after_recovery and not row["filed"]:
                self._say(4, f"event {name} is not noted as filed")

    def _chain(self) -> None:
        before = ""
        for seq, row in enumerate(self.catalog.chain):
            event = json.loads(bytes(row["event"]))
            stored = (row["seq"], row["prev_event_hash"])
            if stored != (seq, before):
                self._say(5, f"chain row {seq} has place and link {stored}")
            links = event["chain"]
            if links["prev_event_hash"] != before or links["event_hash"] != row["event_hash"]:
                self._say(5, f"event {seq} and its chain row disagree")
            if event_hash(event) != row["event_hash"]:
                self._say(5, f"hash of event {seq} does not recompute")
            before = row["event_hash"]
        geneses = [f for f, d in self.files.items() if _prev_of(d) == ""]
        if len(geneses) > 1:
            self._say(5, f"{len(geneses)} first events: {geneses}")
        links = [prev for prev in map(_prev_of, self.files.values()) if prev is not None]
        if len(set(links)) != len(links):
            self._say(5, "two event files continue one event")

    def _head_file(self) -> None:
        """The head file follows the last event file; a crash may leave it one event behind."""
        events = sorted(
            (e for e in map(_json, self.files.values()) if e is not None),
            key=lambda e: int(e["partition"]["ledger_start"]),
        )
        hashes = [str(e["chain"]["event_hash"]) for e in events]
        heads = _json(self.evidence.events.get(HEADS, b"{}"))
        if heads is None:
            self._say(5, "the head file is torn")
            return
        head = next(iter(heads.values()), "")
        allowed = ["", *hashes][-1:] if self.after_recovery else ["", *hashes][-2:]
        if head not in allowed:
            self._say(5, f"head file says {head or 'nothing'}, last event is {hashes[-1:]}")

    def _ranges(self) -> None:
        expected = self.first
        for row in self.catalog.chain:
            if row["ledger_start"] != expected:
                self._say(6, f"chain goes on at {row['ledger_start']}, not at {expected}")
            expected = row["ledger_end"] + 1
        for before, after in itertools.pairwise(self.catalog.chain):
            if after["first_previous_hash"] != before["last_ledger_hash"]:
                self._say(6, f"ledgers do not link at {after['ledger_start']}")
        for row in self.catalog.chain:
            event = json.loads(bytes(row["event"]))
            name = f"{row['ledger_start']}-{row['ledger_end']}"
            if _range_of(event) != name:
                self._say(6, f"event of chain row {name} is of {_range_of(event)}")

    def _checkpoint(self) -> None:
        end = max((r["ledger_end"] for r in self.catalog.chain), default=self.first - 1)
        found = self.evidence.checkpoints
        for data in found.values():
            doc = _json(data)
            if doc is None:
                self._say(7, "the checkpoint is torn")
            elif doc["last_committed_ledger"] > end:
                self._say(7, f"checkpoint is at {doc['last_committed_ledger']}, chain at {end}")
            elif self.after_recovery and doc["last_committed_ledger"] != end:
                self._say(7, f"checkpoint stays at {doc['last_committed_ledger']}, chain at {end}")
        if self.after_recovery and len(found) != 1:
            self._say(7, f"{len(found)} checkpoints")

    def _endpoint(self) -> None:
        """Every event at least once, in order; delivered only if its acknowledgement came."""
        receipts = self.evidence.receipts
        if receipts is None:
            return
        known = {_sha256(bytes(row["event"])): row for row in self.catalog.chain}
        taken = [digest for digest, _ in receipts.posts]
        for digest in dict.fromkeys(taken):
            if digest not in known:
                self._say(8, f"the endpoint took what the catalog does not hold ({digest[:12]})")
        order = [known[digest]["seq"] for digest in dict.fromkeys(taken) if digest in known]
        if order != list(range(len(order))):
            self._say(8, f"the endpoint took events in the order {order}")
        told = {digest for digest, acknowledged in receipts.posts if acknowledged}
        for digest, row in known.items():
            if row["delivered"] and digest not in told | receipts.asked:
                self._say(8, f"event {row['seq']} is delivered without an acknowledgement")
            if self.after_recovery and not row["delivered"]:
                self._say(8, f"event {row['seq']} is not noted as delivered")
        self._inbox(set(taken), known)

    def _inbox(self, taken: set[str], known: dict[str, dict[str, Any]]) -> None:
        """What the receiver keeps is what it acknowledged, each once."""
        receipts = self.evidence.receipts
        assert receipts is not None
        kept = [_sha256(data) for data in receipts.kept]
        if len(set(kept)) != len(kept):
            self._say(8, "the receiver keeps an event twice")
        for digest in set(kept) - set(known):
            self._say(8, f"the receiver keeps what the catalog does not hold ({digest[:12]})")
        for digest in taken - set(kept):
            self._say(8, f"the receiver lost event {known.get(digest, {}).get('seq')}")
        if self.after_recovery and set(known) - set(kept):
            missing = sorted(known[digest]["seq"] for digest in set(known) - set(kept))
            self._say(8, f"the receiver lacks events {missing}")

    def _partitions(self) -> None:
        if self.clean is None:
            return
        found = _digests(self.evidence)
        for name in sorted(found):
            if found[name] != self.clean.get(name):
                self._say(10, f"{name} differs from a crash-free copy")
        if not self.after_recovery:
            return
        for name in sorted(set(self.clean) - set(found)):
            self._say(10, f"{name} is missing")
        committed = {f"part-{name}.parquet" for name in self.commits}
        if committed != set(self.clean):
            self._say(10, f"committed are {sorted(self.commits)}")
        if self.catalog.intents:
            self._say(10, f"{len(self.catalog.intents)} intents were left behind")


def event_hash(event: dict[str, Any]) -> str:
    """The Go copier's rule for events whose strings need no HTML escape."""
    blank = event | {"chain": event["chain"] | {"event_hash": ""}}
    text = json.dumps(blank, separators=(",", ":"), ensure_ascii=False)
    return _prefixed(text.encode())


def _range_of(event: dict[str, Any]) -> str:
    return f"{event['partition']['ledger_start']}-{event['partition']['ledger_end']}"


def _prev_of(data: bytes) -> str | None:
    event = _json(data)
    return None if event is None else str(event["chain"]["prev_event_hash"])


def _json(data: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads(data)
    except ValueError:
        return None
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _prefixed(data: bytes) -> str:
    return "sha256:" + _sha256(data)
