"""Answers questions about committed ledgers: the operations of the child process.

Every answer is plain data for JSON; every refusal is a BronzeError.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import BronzeError, StateError, Stopped, UsageError, XdrError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.inspect import find, tree
from bronze_tui.inspect.checks import Before, checks
from bronze_tui.inspect.dataset import Dataset, find_datasets
from bronze_tui.inspect.origin import Origin, plugin_records
from bronze_tui.inspect.rows import PartitionFile
from bronze_tui.inspect.setup import Setup

Progress = Callable[[dict[str, Any]], bool]
"""Told how far a long operation is; false means that nobody waits any more."""

MOST_ROWS = 2_000
MOST_HEX = 16 << 10
MOST_BASE64 = 4 << 20
_OPEN_FILES = 4


class Inspector:
    """One dataset folder, looked into; not thread-safe."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._datasets: list[Dataset] | None = None
        self._files: dict[Path, PartitionFile] = {}
        self._decoded: tuple[tuple[str, int], bytes, tree.Node | BronzeError] | None = None
        self._origin = Origin(setup)
        self._reader: Any = None

    # What there is.

    def datasets(self) -> list[dict[str, Any]]:
        """Datasets, the configured ones first: chain key, partitions, first and last ledger."""
        self._datasets = None
        return [
            {
                "chain_key": d.chain_key,
                "partitions": len(d.ranges),
                "first": d.ranges[0].start if d.ranges else None,
                "last": d.ranges[-1].end if d.ranges else None,
                "cut": _cut(d),
            }
            for d in self._all()
        ]

    def partition(self, chain_key: str, sequence: int) -> dict[str, Any]:
        """The committed partition that holds ``sequence``.

        Raises:
            UsageError: none does. StateError: its record is damaged.
        """
        found = self._dataset(chain_key).committed(self._range(chain_key, sequence))
        return {
            "chain_key": chain_key,
            "start": found.partition.start,
            "end": found.partition.end,
            "rows": found.rows,
            "bytes": found.byte_size,
            "checksum": found.checksum,
            "created_at": found.created_at,
            "proof": found.proof,
            "path": str(found.path),
        }

    def rows(self, chain_key: str, start: int, offset: int, limit: int) -> dict[str, Any]:
        """Rows of the partition that begins at ``start``: sequence, transactions, operations,
        bytes of XDR."""
        file = self._file(chain_key, start)
        page = file.page(offset, min(limit, MOST_ROWS))
        return {"total": file.rows, "offset": offset, "rows": [list(r.values()) for r in page]}

    def neighbour(self, chain_key: str, sequence: int, step: int) -> dict[str, Any]:
        """The next committed ledger above or below, over partition borders; None at the end."""
        dataset = self._dataset(chain_key)
        if dataset.next_to(sequence, step) is None:
            dataset.refresh()
        return {"sequence": dataset.next_to(sequence, step)}

    # One ledger.

    def ledger(self, chain_key: str, sequence: int) -> dict[str, Any]:
        """Its columns but for the XDR, and its row number."""
        file, row = self._row(chain_key, sequence)
        facts = file.facts(row)
        return {"row": row, "columns": {name: _plain(value) for name, value in facts.items()}}

    def checks(self, chain_key: str, sequence: int) -> dict[str, Any]:
        """Runs all checks of what is stored; header fields where the XDR can be read."""
        file, row = self._row(chain_key, sequence)
        xdr = file.xdr(row)
        partition = self._range(chain_key, sequence)
        before = self._before(chain_key, sequence)
        found = checks(file.facts(row), xdr, partition, before, self._ledger_reader())
        try:
            from bronze_tui.xdr.fields import header_fields

            header = header_fields(xdr)
        except XdrError:
            header = []
        return {"checks": [c.to_json() for c in found], "header": header, "bytes": len(xdr)}

    def compare(self, chain_key: str, sequence: int) -> dict[str, str]:
        """Compares it with the source's ledger."""
        file, row = self._row(chain_key, sequence)
        columns = file.facts(row)
        return self._origin.compare(sequence, file.xdr(row), str(columns["ledger_hash"])).to_json()

    # Its XDR.

    def node(
        self, chain_key: str, sequence: int, path: list[int], offset: int = 0, limit: int = 100
    ) -> dict[str, Any]:
        """Children of a node of the decoded XDR; with an empty path also the root itself.

        Raises:
            XdrError: the Stellar SDK refuses the bytes.
        """
        top = self._tree(chain_key, sequence)
        return {"self": tree.describe(tree.at(top, path)), **tree.page(top, path, offset, limit)}

    def dump(
        self, chain_key: str, sequence: int, path: list[int] | None, offset: int, limit: int
    ) -> dict[str, Any]:
        """Bytes of a node as hex; without a path those of the stored ledger, decodable or not."""
        data = self._bytes(chain_key, sequence, path)
        piece = data[offset : offset + min(limit, MOST_HEX)]
        digest = sha256(data).hexdigest()
        return {"bytes": len(data), "offset": offset, "hex": piece.hex(), "sha256": digest}

    def text(self, chain_key: str, sequence: int, path: list[int]) -> dict[str, str]:
        """A node for copying: its value, or its SEP-51 JSON when it has fields."""
        import json

        node = tree.at(self._tree(chain_key, sequence), path)
        as_json = getattr(node.value, "to_json_dict", None)
        if tree.children(node) and as_json is not None:
            return {"text": json.dumps(as_json(), indent=2, ensure_ascii=False)}
        return {"text": tree.describe(node)["value"]}

    def base64(self, chain_key: str, sequence: int, path: list[int] | None) -> dict[str, str | int]:
        """XDR of a node, or of the ledger, in base64.

        Raises:
            UsageError: too large to copy.
        """
        data = self._bytes(chain_key, sequence, path)
        if len(data) > MOST_BASE64:
            raise UsageError(f"{len(data):,} bytes are too many to copy", todo="copy a node of it")
        return {"text": base64.b64encode(data).decode(), "bytes": len(data)}

    # Searches.

    def find_ledger(self, prefix: str, progress: Progress) -> dict[str, Any]:
        """The first ledger, newest partitions first, whose hash begins with ``prefix``.

        Raises:
            Stopped: nobody waits any more.
        """
        searched = 0
        self._datasets = None
        every = [(d, r) for d in self._all() for r in reversed(d.ranges)]
        for number, (dataset, partition) in enumerate(every):
            _tell(progress, number, len(every), f"{dataset.chain_key} {partition}")
            file = self._file(dataset.chain_key, partition.start)
            for sequence, text in file.each("ledger_hash"):
                searched += 1
                if text.startswith(prefix):
                    found = {"chain_key": dataset.chain_key, "sequence": sequence, "hash": text}
                    return {"found": found, "searched": searched}
        return {"found": None, "searched": searched}

    def find_transaction(
        self, chain_key: str, wanted: str, first: int, last: int, progress: Progress
    ) -> dict[str, Any]:
        """The transaction of that hash in ledgers ``first`` to ``last``.

        Raises:
            Stopped: nobody waits any more.
        """
        needle = bytes.fromhex(wanted)
        self._dataset(chain_key).refresh()
        mentioned: list[int] = []
        done = 0
        for sequence, xdr in self._xdr_between(chain_key, first, last):
            done += 1
            if done % 16 == 1:
                _tell(progress, sequence - first, last - first + 1, f"ledger {sequence:,}")
            if needle not in xdr:
                continue
            hit = self._transaction_in(chain_key, sequence, needle)
            if hit is not None:
                return {"found": hit, "searched": done, "mentioned": mentioned}
            mentioned.append(sequence)
        return {"found": None, "searched": done, "mentioned": mentioned[:20]}

    # Configuration.

    def preflight(
        self, write: bool, pas_dir: str, now: float, open_files: int, progress: Progress
    ) -> dict[str, Any]:
        """What ``bronze doctor`` checks, each told as it comes.

        Raises:
            UsageError: no configuration is known. Stopped: nobody waits any more.
        """
        from bronze_tui.inspect.doctor.examine import Examination
        from bronze_tui.inspect.doctor.groups import GROUPS
        from bronze_tui.inspect.doctor.subject import Subject

        root = Path(self._setup.data_root) if self._setup.data_root else None
        subject = Subject(self._setup.settings(), write, root, Path(pas_dir), now, open_files)
        examination = Examination(subject, GROUPS)
        found = []
        try:
            for _, finding in examination:
                if finding is not None:
                    found.append(finding.to_json())
                    if not progress({"check": finding.to_json()}):
                        raise Stopped("nobody waits any more")
        finally:
            examination.close()
        return {"checks": found}

    def plugins(self) -> list[dict[str, Any]]:
        """Records of all plugins."""
        return plugin_records(self._setup)

    def close(self) -> None:
        """Release files and connections."""
        self._origin.close()
        for file in self._files.values():
            file.close()
        self._files.clear()

    # Inside.

    def _all(self) -> list[Dataset]:
        if self._datasets is None:
            first = [cut.chain_key for cut in self._setup.eras]
            root = self._setup.data_root
            self._datasets = find_datasets(Path(root), self._setup.prefix, first) if root else []
        return self._datasets

    def _dataset(self, chain_key: str) -> Dataset:
        for _ in range(2):
            for dataset in self._all():
                if dataset.chain_key == chain_key:
                    return dataset
            self._datasets = None
        raise UsageError(f"no dataset {chain_key!a} below {self._setup.data_root}")

    def _range(self, chain_key: str, sequence: int) -> LedgerRange:
        dataset = self._dataset(chain_key)
        found = dataset.at(sequence)
        if found is None:
            dataset.refresh()
            found = dataset.at(sequence)
        if found is None:
            raise UsageError(
                f"ledger {sequence:,} is in no committed partition of {chain_key}",
                todo=_covered(dataset),
            )
        return found

    def _file(self, chain_key: str, sequence: int) -> PartitionFile:
        found = self._dataset(chain_key).committed(self._range(chain_key, sequence))
        file = self._files.pop(found.path, None) or PartitionFile(found.path)
        self._files[found.path] = file
        while len(self._files) > _OPEN_FILES:
            self._files.pop(next(iter(self._files))).close()
        return file

    def _row(self, chain_key: str, sequence: int) -> tuple[PartitionFile, int]:
        file = self._file(chain_key, sequence)
        row = file.row_of(sequence)
        if row is None:
            raise StateError(
                f"the file of partition {self._range(chain_key, sequence)} lacks ledger {sequence}",
                where=str(file.path),
                todo="bronze verify says whether it is still what was committed",
            )
        return file, row

    def _before(self, chain_key: str, sequence: int) -> Before:
        wanted = sequence - 1
        network = chain_key.split("/")[0]
        others = [d.chain_key for d in self._all() if d.network == network]
        for key in sorted(others, key=lambda k: k != chain_key):
            if self._dataset(key).at(wanted) is None:
                continue
            try:
                file, row = self._row(key, wanted)
                return Before(wanted, str(file.facts(row)["ledger_hash"]))
            except BronzeError as error:
                return Before(wanted, why=str(error))
        return Before(wanted, why=f"ledger {wanted} is not in this dataset")

    def _xdr_between(self, chain_key: str, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        for partition in self._dataset(chain_key).ranges:
            if partition.end < first or partition.start > last:
                continue
            for sequence, xdr in self._file(chain_key, partition.start).each("xdr_bytes"):
                if first <= sequence <= last:
                    yield sequence, xdr

    def _transaction_in(
        self, chain_key: str, sequence: int, wanted: bytes
    ) -> dict[str, Any] | None:
        top = self._tree(chain_key, sequence)
        result = find.result_path(top, wanted)
        if result is None:
            return None
        url = self._setup.source_url
        network = chain_key.split("/")[0]
        passphrase, known_by = find.passphrase_of(self._setup.passphrase, url, network)
        envelope = find.envelope_path(top, wanted, passphrase) if passphrase else None
        if envelope is not None:
            note = f"its envelope hashes to it (network passphrase from {known_by})"
        elif passphrase:
            note = f"no envelope hashes to it with the passphrase from {known_by}"
        else:
            note = "envelope not looked for: the network's passphrase is not known here"
        return {
            "sequence": sequence,
            "kind": result[1],
            "result": list(result[0]),
            "envelope": list(envelope) if envelope is not None else None,
            "note": note,
        }

    def _tree(self, chain_key: str, sequence: int) -> tree.Node:
        decoded = self._decoded
        if decoded is None or decoded[0] != (chain_key, sequence):
            file, row = self._row(chain_key, sequence)
            xdr = file.xdr(row)
            decoded = self._decoded = ((chain_key, sequence), xdr, _decode(xdr, sequence))
        if isinstance(decoded[2], BronzeError):
            raise decoded[2]
        return decoded[2]

    def _bytes(self, chain_key: str, sequence: int, path: list[int] | None) -> bytes:
        if path:
            return tree.encode(tree.at(self._tree(chain_key, sequence), path))
        decoded = self._decoded
        if decoded is not None and decoded[0] == (chain_key, sequence):
            return decoded[1]
        file, row = self._row(chain_key, sequence)
        return file.xdr(row)

    def _ledger_reader(self) -> Any:
        from bronze_tui.xdr.header import LedgerReader

        if self._reader is None:
            self._reader = LedgerReader()
        return self._reader


def _decode(xdr: bytes, sequence: int) -> tree.Node | BronzeError:
    from stellar_sdk.xdr import LedgerCloseMeta

    try:
        return tree.root(LedgerCloseMeta.from_xdr_bytes(xdr))
    except Exception as error:
        # Whatever the decoder makes of bad bytes is news about the ledger, not an end.
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return XdrError(
            f"the Stellar SDK refuses the XDR of ledger {sequence} ({text})",
            todo="the bytes and their hash are shown; compare them with the source",
        )


def _tell(progress: Progress, done: int, of: int, where: str) -> None:
    if not progress({"done": done, "of": of, "where": where}):
        raise Stopped("nobody waits any more")


def _cut(dataset: Dataset) -> tuple[int, int] | None:
    """None too where the first record is damaged: the ledgers can still be looked at."""
    try:
        return dataset.cut()
    except StateError:
        return None


def _covered(dataset: Dataset) -> str:
    if not dataset.ranges:
        return "nothing is committed yet"
    first, last = dataset.ranges[0].start, dataset.ranges[-1].end
    return f"{len(dataset.ranges):,} partitions hold {first:,} to {last:,}"


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%d %H:%M:%SZ") if isinstance(value, datetime) else value
