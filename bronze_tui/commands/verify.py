"""``bronze verify``: check a copy and its audit chain without trusting whoever made them."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.audit.findings import Finding
from bronze_tui.audit.folder import declared_holes, resolve, verify_folder
from bronze_tui.audit.heads import parse_pin
from bronze_tui.audit.report import VerifyReport, to_json, to_text, verdict_line
from bronze_tui.commands._verifying import MemoryOptions, ProofOptions, verifying_options
from bronze_tui.domain.errors import Exit, UsageError
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.commands._depth import Wish
    from bronze_tui.commands._target import Target

LEVELS = ("chain", "manifest", "file", "row", "ledger", "source")
_FILE = click.Path(path_type=Path)


@click.command("verify")
@click.argument("target", metavar="TARGET", required=False)
@click.option(
    "--level",
    default="chain",
    show_default=True,
    metavar="LEVEL",
    help="How deep: chain, manifest, file, row, ledger or source (or 0 to 5).",
)
@click.option("--data", metavar="FOLDER|URL", default="", help="The data files, where not found.")
@click.option("--pas", metavar="FOLDER", type=_FILE, help="The events of a dataset or URL.")
@click.option("--config", "-c", metavar="FILE", type=_FILE, help="Configuration of the copy.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--report", metavar="FILE", type=_FILE, help="Write the report as FILE.md or FILE.html too."
)
@click.option(
    "--head",
    metavar="HASH",
    default="",
    help="An event hash you kept: it must stand in the chain. Shows a tail that was cut off.",
)
@click.option("--chain", "chain_key", metavar="NETWORK/ERA/VERSION", default="", help="Only this.")
@click.option(
    "--holes",
    metavar="FOLDER",
    multiple=True,
    type=_FILE,
    help="A dataset's _holes folder: events that fill a declared hole late are in order.",
)
@click.option("--since", metavar="TIME|LEDGER", default="", help="Only partitions from then on.")
@click.option("--subset", metavar="N/T", default="", help="Only part N of T, as in 1/7.")
@click.option("--sample", metavar="N%|N", default="", help="Only partitions drawn at random.")
@click.option("--seed", metavar="N", type=click.IntRange(0), help="Draw that sample again.")
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Partitions read at a time (else one a core, at most 8).",
)
@click.option(
    "--state",
    metavar="FILE",
    type=_FILE,
    help="Keep what was verified there, and do not read it again.",
)
@click.option(
    "--anchors",
    metavar="FILE|ARCHIVE|rpc+URL",
    multiple=True,
    help="Trusted ledger hashes: a file of stellar-core verify-checkpoints, the folder or address "
    "of a history archive, an RPC server (rpc: that of BRONZE_RPC_URL). Give several.",
)
@click.option(
    "--allow-private", is_flag=True, help="An archive or server may be in a private network."
)
@click.option(
    "--validators",
    metavar="FILE",
    type=_FILE,
    help="Validators' keys and names, in place of the list that comes with bronze.",
)
@click.option(
    "--strict-validators", is_flag=True, help="A ledger signed by an unknown key is an error."
)
@click.option(
    "--network-passphrase", metavar="TEXT", default="", help="Of a network that is not public."
)
@click.option("--progress", is_flag=True, help="Progress as JSON lines on standard error.")
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
@verifying_options
def command(
    target: str | None, level: str, proof: ProofOptions, memory: MemoryOptions, **options: Any
) -> None:
    """Verify the copy at TARGET, trusting nobody who made it.

    TARGET is a PAS folder (or one that holds pas-backup), a dataset or data folder, a bucket URL,
    or a configuration file. Levels, each with those before: chain (links of the events), manifest
    (events against manifests, commit records, catalog), file (SHA-256 of every file), row (columns
    against their XDR), ledger (hashes and signatures of the Stellar network), source (against the
    lake again). Exit code 0: all is sound; 3: it is not; 2: TARGET or an option is wrong; 7:
    something cannot be read.

    The head of each chain is remembered: one that shrank or changed since it was last verified at
    this TARGET is an error that shows both heads. With --vkey the signed heads beside the events
    are compared too: signature, number and tree of the events. With --proof a file made by
    'bronze proof' is verified instead, offline; with --attestation what others found by 'bronze
    rebuild'.
    """
    if proof.asked(target):
        return proof.check(as_json=options["as_json"], quiet=options["quiet"])
    if proof.attestations:
        if level not in ("chain", "0"):
            raise UsageError("attestations are compared with the chain alone", where="--level")
        return _attested(target, proof, options)
    assert target is not None
    level = _level(level)
    report_file: Path | None = options["report"]
    if report_file is not None:
        from bronze_tui.audit.printed import check_name

        check_name(report_file)
    report = proof.heads(_verify(target, level, options), options["chain_key"])
    report = memory.recall(report, options["chain_key"])
    if report_file is not None:
        _write(report, report_file)
    if options["as_json"]:
        click.echo(to_json(report))
    else:
        click.echo(verdict_line(report) if options["quiet"] else to_text(report))
    if not report.ok:
        raise SystemExit(int(Exit.UNREACHABLE if report.unread else Exit.VERIFICATION))
    return None


def _attested(target: str | None, proof: ProofOptions, options: dict[str, Any]) -> None:
    """Judge attestations, against the chain of TARGET where one is given."""
    from bronze_tui.commands._attestcheck import check_attestations

    report = None
    if target is not None:
        report = _verify(target, "chain", options)
    code = check_attestations(
        proof.attestations,
        proof.vkeys,
        report,
        as_json=options["as_json"],
        quiet=options["quiet"],
    )
    if code:
        raise SystemExit(int(code))


def _verify(text: str, level: str, options: dict[str, Any]) -> VerifyReport:
    wish = _wish(level, options)
    pin = parse_pin(options["head"]) if options["head"] else ""
    declared: dict[str, list[LedgerRange]] = {}
    if level == "chain" and "://" not in text and not Path(text).is_file():
        pas = options["pas"] or Path(text)
        return verify_folder(
            resolve(pas),
            chain_key=options["chain_key"],
            pin=pin,
            holes=_declared(options, declared),
        )
    from bronze_tui.commands._target import find_target

    config = None
    if options["config"] is not None:
        from bronze_tui.config.load import load

        config = load(options["config"], ())
    target = find_target(text, pas=options["pas"], data=options["data"], config=config)
    if options["chain_key"]:
        target.chain_keys = (options["chain_key"],)
    declared = target.holes()
    report = _chain(target, level, options["chain_key"], pin, _declared(options, declared))
    if level == "chain":
        return report
    from bronze_tui.commands._depth import verify_depth

    return verify_depth(report, target, wish)


def _chain(
    target: Target, level: str, chain_key: str, pin: str, holes: dict[str, list[LedgerRange]]
) -> VerifyReport:
    if target.pas is not None:
        return verify_folder(target.pas, chain_key=chain_key, pin=pin, holes=holes)
    if pin or level == "chain":
        raise UsageError(
            "no audit events were found, so there is no chain to judge",
            where=target.shown,
            todo="give --pas FOLDER, or a --level below chain for the data files alone",
        )
    text = "no audit events were found: what the files should be is known from their own records"
    finding = Finding("no_events", "warning", "", text, cause="give --pas FOLDER if there are some")
    return VerifyReport(target.shown, "chain", (), (finding,), False)


def _declared(
    options: dict[str, Any], declared: dict[str, list[LedgerRange]]
) -> dict[str, list[LedgerRange]]:
    for folder in options["holes"]:
        declared.update(declared_holes(folder))
    return declared


def _wish(level: str, options: dict[str, Any]) -> Wish:
    from bronze_tui.audit.levels.select import Choice
    from bronze_tui.commands._depth import Wish

    seed = options["seed"]
    choice = Choice(
        options["since"],
        options["subset"],
        options["sample"],
        secrets.randbelow(1 << 32) if seed is None else seed,
    )
    if level == "chain" and (choice.narrows or options["state"]):
        raise UsageError(
            "the chain is always judged whole",
            where="--since, --subset, --sample, --state",
            todo="give a --level below chain with them",
        )
    told = options["anchors"] or options["validators"] or options["strict_validators"]
    if told and LEVELS.index(level) < LEVELS.index("ledger"):
        raise UsageError(
            f"nothing is compared with them at level {level}",
            where="--anchors, --validators, --strict-validators",
            todo="give --level ledger with them",
        )
    return Wish(
        level,
        options["jobs"] or min(8, os.cpu_count() or 1),
        choice,
        options["state"],
        options["anchors"],
        options["validators"],
        options["network_passphrase"],
        options["quiet"],
        options["strict_validators"],
        options["allow_private"],
        options["progress"],
    )


def _write(report: VerifyReport, path: Path) -> None:
    from bronze_tui.audit.printed import printed
    from bronze_tui.domain.files import replace
    from bronze_tui.domain.refusal import refusing

    when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    with refusing(path):
        replace(path, printed(report, path, when).encode())


def _level(text: str) -> str:
    if text in LEVELS:
        return text
    if text.isdecimal() and int(text) < len(LEVELS):
        return LEVELS[int(text)]
    raise UsageError(
        f"unknown level {text!r}",
        where="--level",
        todo=f"use one of {', '.join(LEVELS)}, or 0 to 5",
    )
