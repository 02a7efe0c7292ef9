"""Options of ``bronze verify`` that come in groups: proofs, signed heads, attestations, memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bronze_tui.audit.note import VKEY_VARIABLE
from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """``--proof``, ``--vkey`` or ``--attestation``, and what goes with them."""

    file: Path | None
    vkeys: tuple[str, ...]
    parquet: tuple[Path, ...]
    old_head: Path | None
    attestations: tuple[Path, ...] = ()

    def asked(self, target: Path | str | None) -> bool:
        """Whether a proof file is to be verified instead of PATH.

        Raises:
            UsageError: both or neither are given, or options that need a proof stand alone.
        """
        if self.file is not None:
            if target is not None or self.attestations:
                raise UsageError("give a PATH or --attestation, or --proof, not both")
            return True
        if self.parquet:
            raise UsageError("--parquet goes with --proof")
        if self.attestations:
            if self.old_head is not None:
                raise UsageError("--old-head does not go with --attestation")
            return False
        if target is None:
            raise UsageError("what is to be verified?", todo="give the PAS folder, or --proof FILE")
        return False

    def heads(self, report: VerifyReport, chain_key: str) -> VerifyReport:
        """The report, compared with the signed heads published beside the events, and with the
        one that was kept, where a key says whose signature counts.

        Raises:
            UsageError: a head was kept and no key is given. SourceDenied: it cannot be read.
        """
        named = bool(self.vkeys) or self.old_head is not None
        if not named and not os.environ.get(VKEY_VARIABLE, "").strip():
            return report
        from bronze_tui.audit.publishedhead import compare_published
        from bronze_tui.commands._signing import verify_keys

        keys = verify_keys(self.vkeys)
        folder = Path(report.folder)
        none = any(f.kind == "no_events" and f.severity == "warning" for f in report.findings)
        if none or not folder.is_dir():
            if not named:
                return report
            raise UsageError(
                "no audit events were found, so there is no chain to compare a signed head with",
                where=report.folder,
                todo="give --pas FOLDER",
            )
        return compare_published(
            report,
            folder,
            keys,
            chain_key=chain_key,
            kept=[self.old_head] if self.old_head is not None else [],
            required=bool(self.vkeys) and self.old_head is None,
        )

    def check(self, *, as_json: bool, quiet: bool) -> None:
        """Verify the proof file and print the verdict.

        Raises:
            VerificationError: it fails. UsageError, SourceDenied: nothing can be said.
        """
        from bronze_tui.commands._proofcheck import ProofFiles, check_proof

        assert self.file is not None
        files = ProofFiles(self.file, self.parquet, self.old_head)
        check_proof(files, self.vkeys, as_json=as_json, quiet=quiet)


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """``--no-memory`` and ``--forget``."""

    off: bool
    forget: bool

    def recall(self, report: VerifyReport, chain_key: str) -> VerifyReport:
        """The report, compared with what was remembered of its chains.

        Raises:
            StateError: memory cannot be dropped.
        """
        if self.off and not self.forget:
            return report
        from bronze_tui.audit.memory import forget, memory_folder, recall

        folder = memory_folder(os.environ)
        if self.forget:
            dropped = forget(folder, report.folder, chain_key)
            click.echo(f"bronze: {dropped} remembered head(s) dropped", err=True)
        if self.off:
            return report
        return recall(report, folder, now=time.time(), chain_key=chain_key)


_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--no-memory",
        is_flag=True,
        help="Neither compare with the heads last seen here nor remember these.",
    ),
    click.option("--forget", is_flag=True, help="Drop the heads last seen here before verifying."),
    click.option(
        "--proof", metavar="FILE", type=_PATH, help="Verify a proof file instead of PATH."
    ),
    click.option(
        "--vkey",
        metavar="VKEY",
        multiple=True,
        help="Whose signature is trusted: on the signed heads at PATH, a proof, an attestation "
        "(or BRONZE_VKEY).",
    ),
    click.option(
        "--attestation",
        metavar="FILE",
        multiple=True,
        type=_PATH,
        help="Verify what 'bronze rebuild --attest' signed; with PATH against its chain too.",
    ),
    click.option(
        "--parquet",
        metavar="FILE",
        multiple=True,
        type=_PATH,
        help="With --proof: a data file that the proven event must have announced.",
    ),
    click.option(
        "--old-head",
        metavar="FILE",
        type=_PATH,
        help="The signed head that you kept: the chain, or a consistency proof, must continue it.",
    ),
)


def verifying_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add both groups; the command gets them as ``proof`` and ``memory``."""

    @wraps(command)
    def gathered(**given: Any) -> Any:
        proof = ProofOptions(
            given.pop("proof"),
            given.pop("vkey"),
            given.pop("parquet"),
            given.pop("old_head"),
            given.pop("attestation"),
        )
        memory = MemoryOptions(given.pop("no_memory"), given.pop("forget"))
        return command(proof=proof, memory=memory, **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
