"""Attestations: what somebody found who built partitions again from a lake, as a C2SP signed note.

    bronze-attestation/1
    signer NAME
    time 2026-01-31T08:00:00Z
    software NAME VERSION
    library NAME VERSION
    lake ADDRESS
    dataset ADDRESS
    range all, or START-END; and how a part of it was chosen
    writer DIGEST                                      one line for each set of writer options
    partition CHAIN START-END VERDICT EVENT FILE ROOT  one line for each partition

    — NAME SIGNATURE

Addresses and the three parts of a chain key are percent-encoded. EVENT is the event's hash or
``-``; FILE the SHA-256 of the rebuilt file; ROOT the RFC 6962 root of the lake's ledgers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, unquote

from bronze_tui.audit.event import is_hash
from bronze_tui.audit.note import MAX_NOTE_BYTES, SigningKey, VerifyKey, open_note, sign_note
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange

FORMAT = "bronze-attestation/1"
Verdict = Literal["IDENTICAL", "IDENTICAL-BODY", "SAME-CONTENT", "DIFFERENT", "UNDECIDED", "UNREAD"]
SOUND: tuple[Verdict, ...] = ("IDENTICAL", "IDENTICAL-BODY", "SAME-CONTENT")
"""The published rows are those of the lake."""
ATTESTED: tuple[Verdict, ...] = (*SOUND, "DIFFERENT")
"""Verdicts that say something about what is published."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_FIELDS = ("signer", "time", "software", "library", "lake", "dataset", "range")
_HEAD_BYTES = 4096
_SAFE = "/:@!$&'()*+,;=~"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Attested:
    """One partition; hashes are ``sha256:`` and hex, ``event_hash`` empty without an event."""

    chain_key: str
    partition: LedgerRange
    verdict: Verdict
    event_hash: str
    checksum: str
    content_root: str

    def line(self) -> str:
        """The partition's line."""
        chain = "/".join(quote(part, safe="") for part in self.chain_key.split("/"))
        event = self.event_hash or "-"
        return (
            f"partition {chain} {self.partition} {self.verdict} {event} {self.checksum} "
            f"{self.content_root}"
        )


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a signer says."""

    signer: str
    time: str
    software: str
    library: str
    lake: str
    dataset: str
    range: str
    writers: tuple[str, ...]
    partitions: tuple[Attested, ...]

    def text(self) -> str:
        """The text that is signed."""
        plain = (self.signer, self.time, self.software, self.library)
        values = (*plain, quote(self.lake, safe=_SAFE), quote(self.dataset, safe=_SAFE), self.range)
        lines = [f"{name} {value}" for name, value in zip(_FIELDS, values, strict=True)]
        lines += [f"writer {writer}" for writer in self.writers]
        lines += [partition.line() for partition in self.partitions]
        return "\n".join([FORMAT, *lines, ""])


def fits(partitions: Iterable[tuple[str, LedgerRange]]) -> bool:
    """Whether one note can hold that many partitions, whatever is found."""
    digest = "sha256:" + "0" * 64
    longest = max(ATTESTED, key=len)
    size = _HEAD_BYTES
    for chain_key, partition in partitions:
        line = Attested(chain_key, partition, longest, digest, digest, digest).line()
        size += len(line.encode()) + 1
    return size <= MAX_NOTE_BYTES


def sign_attestation(attestation: Attestation, key: SigningKey) -> bytes:
    """The attestation as a note with one signature.

    Raises:
        ValueError: a note cannot hold it, or the signer is not the key's owner.
    """
    if attestation.signer != key.name:
        raise ValueError("an attestation names the key that signs it")
    data = sign_note(attestation.text(), key)
    if len(data) > MAX_NOTE_BYTES:
        raise ValueError("too many partitions for one note")
    return data


def open_attestation(data: bytes, keys: Iterable[VerifyKey]) -> Attestation:
    """An attestation that one of ``keys`` signed, and that names this key.

    Raises:
        ProofRejected: it is anything else.
    """
    opened = open_note(data, keys)
    found = parse_attestation(opened.text)
    if found.signer not in {key.name for key in opened.signers}:
        raise ProofRejected(
            f"it names {found.signer} as its signer, and {opened.signers[0].name} signed it"
        )
    return found


def parse_attestation(text: str) -> Attestation:
    """Read the signed text strictly.

    Raises:
        ProofRejected: it is another text.
    """
    lines = text.removesuffix("\n").split("\n")
    if lines[0] != FORMAT:
        raise ProofRejected(f"not an attestation: its first line is not {FORMAT}")
    head = lines[1 : len(_FIELDS) + 1]
    if [line.partition(" ")[0] for line in head] != list(_FIELDS):
        raise _malformed(f"the lines {', '.join(_FIELDS)} are expected, in that order")
    signer, when, software, library, lake, dataset, wanted = (
        line.partition(" ")[2] for line in head
    )
    if not all((signer, software, library, lake, wanted)) or not _TIME.fullmatch(when):
        raise _malformed("an empty line, or no time in UTC")
    rest = lines[len(_FIELDS) + 1 :]
    writers = [line.removeprefix("writer ") for line in rest if line.startswith("writer ")]
    partitions = tuple(_attested(line) for line in rest[len(writers) :])
    places = {(p.chain_key, p.partition) for p in partitions}
    if not partitions or len(places) != len(partitions) or not all(map(is_hash, writers)):
        raise _malformed("its partitions are none, or one stands twice, or a writer is no digest")
    return Attestation(
        signer,
        when,
        software,
        library,
        unquote(lake),
        unquote(dataset),
        wanted,
        tuple(writers),
        partitions,
    )


def contradictions(
    attestation: Attestation, events: Mapping[str, AuditEvent]
) -> list[tuple[Attested, str]]:
    """What an attestation says against the events of the chains themselves.

    Args:
        events: by event hash, those of whole chains.
    """
    found = []
    for partition in attestation.partitions:
        why = _against(partition, events)
        if why:
            found.append((partition, why))
    return found


def _against(partition: Attested, events: Mapping[str, AuditEvent]) -> str:
    if not partition.event_hash:
        return "it names no event, so it is not about this chain"
    event = events.get(partition.event_hash)
    if event is None:
        return "its event does not stand in the chain: that was rewritten, or this is of another"
    if (event.chain_key, event.partition) != (partition.chain_key, partition.partition):
        return f"its event is that of {event.chain_key} {event.partition}"
    table = dict(event.tables).get(RAW_TABLE)
    announced = table.checksum if table is not None else ""
    if (partition.verdict == "IDENTICAL") != (partition.checksum == announced):
        if partition.verdict == "DIFFERENT":
            # The lake gives what was announced, and something else is published.
            return ""
        return f"it says {partition.verdict} of another file than the event announces"
    return ""


def _attested(line: str) -> Attested:
    words = line.split(" ")
    if len(words) != 7 or words[0] != "partition":
        raise _malformed(f"{line[:60]!a} is no line of it")
    _, chain, ledgers, verdict, event, checksum, root = words
    try:
        partition = LedgerRange.parse(ledgers)
    except ValueError:
        raise _malformed(f"{ledgers[:40]!a} is no partition") from None
    chosen = next((known for known in ATTESTED if known == verdict), None)
    hashes = [checksum, root] if event == "-" else [checksum, root, event]
    if chosen is None or not all(map(is_hash, hashes)) or chain.count("/") != 2:
        raise _malformed(f"the line of {ledgers} has no chain, verdict or hash where one belongs")
    found = Attested(
        "/".join(unquote(part) for part in chain.split("/")),
        partition,
        chosen,
        "" if event == "-" else event,
        checksum,
        root,
    )
    if found.line() != line:
        raise _malformed(f"the line of {ledgers} is not written as it should be")
    return found


def _malformed(why: str) -> ProofRejected:
    return ProofRejected(f"not an attestation: {why}")
