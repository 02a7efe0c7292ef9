"""The Go copier's checkpoint file: a cache of progress, never the truth."""

from __future__ import annotations

from dataclasses import dataclass

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import dump, load


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Progress of one era; ``updated_at`` is RFC 3339 in UTC."""

    copier_id: str
    network: str
    era_id: str
    version_label: str
    last_committed_ledger: int
    last_partition: LedgerRange
    checksum: str
    updated_at: str

    @property
    def chain_key(self) -> str:
        """``network/era_id/version_label``."""
        return f"{self.network}/{self.era_id}/{self.version_label}"

    @staticmethod
    def file_name(era: Era) -> str:
        """Name of the era's checkpoint in the state folder."""
        return f"checkpoint_{era.network}_{era.era_id}_{era.version_label}.json"

    def to_json(self) -> bytes:
        """Exactly the Go copier's form."""
        return dump(
            {
                "copier_id": self.copier_id,
                "network": self.network,
                "era_id": self.era_id,
                "version_label": self.version_label,
                "last_committed_ledger": self.last_committed_ledger,
                "last_committed_partition": {
                    "start": self.last_partition.start,
                    "end": self.last_partition.end,
                    "checksum": self.checksum,
                },
                "updated_at": self.updated_at,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Checkpoint:
        """Read a checkpoint of ours or of the Go copier.

        Raises:
            StateError: malformed.
        """
        doc = load(data, where)
        try:
            part = doc["last_committed_partition"]
            return cls(
                copier_id=str(doc["copier_id"]),
                network=str(doc["network"]),
                era_id=str(doc["era_id"]),
                version_label=str(doc["version_label"]),
                last_committed_ledger=int(doc["last_committed_ledger"]),
                last_partition=LedgerRange(int(part["start"]), int(part["end"])),
                checksum=str(part["checksum"]),
                updated_at=str(doc["updated_at"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"checkpoint is malformed ({error!r})", where=where) from error
