"""``bronze rebuild``: build published partitions again from a lake, and compare."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._partitions import missing_of, parse_range, partitions_in
from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.audit.chain import ChainReport
    from bronze_tui.audit.data import Data
    from bronze_tui.audit.findings import Finding
    from bronze_tui.audit.levels.unit import Unit
    from bronze_tui.audit.note import SigningKey
    from bronze_tui.commands._rebuilt import Account
    from bronze_tui.commands._target import Target
    from bronze_tui.engine.reproduce import Reproduced
    from bronze_tui.engine.reproductions import Limits
    from bronze_tui.hooks.contracts import LedgerSource

_FILE = click.Path(path_type=Path)


@click.command("rebuild")
@click.argument("wanted", metavar="RANGE")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--from", "lake", metavar="LAKE", default="", help="Folder or URL of the lake to build from."
)
@click.option("--config", "-c", metavar="FILE", type=_FILE, help="Configuration of the copy.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key, such as source.anonymous=true; without --config those of the lake alone.",
)
@click.option("--data", metavar="FOLDER|URL", default="", help="The data files, where not found.")
@click.option("--pas", metavar="FOLDER", type=_FILE, help="The events of a dataset or URL.")
@click.option("--chain", "chain_key", metavar="NETWORK/ERA/VERSION", default="", help="Only this.")
@click.option("--subset", metavar="N/T", default="", help="Only part N of T, as in 1/7.")
@click.option("--sample", metavar="N%|N", default="", help="Only partitions drawn at random.")
@click.option("--seed", metavar="N", type=click.IntRange(0), help="Draw that sample again.")
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Partitions built at a time (else one a core, at most 8).",
)
@click.option(
    "--state",
    metavar="FILE",
    type=_FILE,
    help="Keep what was found sound there, and do not build it again.",
)
@click.option(
    "--keep",
    metavar="FOLDER",
    type=_FILE,
    help="Keep there each rebuilt file whose published one is missing or not IDENTICAL.",
)
@click.option(
    "--attest", metavar="FILE", type=_FILE, help="Write what was found there, signed with --key."
)
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    type=_FILE,
    help="Private key of the attestation (or BRONZE_SIGNING_KEY).",
)
@click.option(
    "--network-passphrase", metavar="TEXT", default="", help="The dataset's; the lake must have it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
def command(wanted: str, target: str | None, **options: Any) -> int:
    """Build published partitions again from a lake, in temporary space, and compare.

    RANGE is START-END, one or more whole partitions, or 'all'. TARGET is what to compare with, as
    in 'bronze verify': a dataset or data folder, a bucket URL, a PAS folder, or a configuration
    file (its lake is used where --from names none). Nothing is written there.

    Of each partition it says IDENTICAL (the same file), IDENTICAL-BODY (the same but for the name
    of the writing software), SAME-CONTENT (the same rows, written otherwise) or DIFFERENT (which
    ledger and column first, expected and found). UNDECIDED: only a hash is there to compare with,
    and it is another; UNREAD: the lake or the published file cannot be read. Exit code 0: all are
    the lake's; 3: one is not; 2: RANGE, TARGET or an option is wrong; 7: something cannot be read
    or decided, and nothing that was is wrong.
    """
    ledgers = parse_range(wanted)
    key = _signer(options)
    with ExitStack() as stack:
        stack.enter_context(_ended_cleanly())
        place = _target(target, options)
        stack.callback(place.close)
        session = _Session(place, options, stack)
        account = session.rebuild(wanted, ledgers, key is not None)
    if options["as_json"]:
        click.echo(json.dumps(account.to_doc(), indent=2))
    elif options["quiet"]:
        click.echo(account.summary())
    else:
        click.echo("\n".join(account.closing()))
    if key is not None:
        _attest(account, key, options["attest"])
    return account.code


class _Session:
    """Everything open for one rebuild."""

    def __init__(self, target: Target, options: dict[str, Any], stack: ExitStack) -> None:
        self._target, self._options, self._stack = target, options, stack
        self._loaded = target.loaded

    def rebuild(self, wanted: str, ledgers: Any, attest: bool) -> Account:
        """Choose, build, compare."""
        import pyarrow as pa

        from bronze_tui.audit.attestation import fits
        from bronze_tui.commands._rebuilt import Account

        data = self._data()
        self._keep_out()
        units, findings = self._published(data)
        inside = partitions_in(units, ledgers)
        choice = _choice(self._options)
        chosen = choice.pick(inside)
        if attest and not fits((unit.chain_key, unit.partition) for unit in chosen):
            raise UsageError(
                f"{len(chosen):,} partitions are too many for one attestation",
                where="--attest",
                todo="give the range in pieces, or --subset",
            )
        source = self._lake(chosen)
        account = Account(
            target=self._target.shown,
            data=data.where if data is not None else "",
            lake=source.describe().location,
            wanted=wanted,
            library=f"pyarrow {pa.__version__}",
            choice=choice.text(),
            published=len(units),
            findings=findings,
            missing=missing_of(inside, ledgers),
        )
        begun = time.monotonic()
        self._work(chosen, source, data, account)
        account.seconds = time.monotonic() - begun
        return account

    def _keep_out(self) -> None:
        """What a rebuild writes is no part of a dataset."""
        root = self._target.data
        for path in (self._options["attest"], self._options["keep"], self._options["state"]):
            if path is None or root is None:
                continue
            if path.resolve().is_relative_to(root.resolve()):
                raise UsageError(
                    "lies inside the dataset, where nothing is written",
                    where=str(path),
                    todo="name another place",
                )

    def _data(self) -> Data | None:
        target = self._target
        if target.data is None and not target.url and target.loaded is None:
            return None
        return target.open_data()

    def _published(self, data: Data | None) -> tuple[list[Unit], tuple[Finding, ...]]:
        """Partitions of events and records, and what is wrong with them as a whole."""
        from bronze_tui.audit.folder import verify_folder
        from bronze_tui.audit.levels.run import take_inventory
        from bronze_tui.audit.levels.unit import units_of
        from bronze_tui.commands._signing import LEDGER_ORDER

        target = self._target
        chains: tuple[ChainReport, ...] = ()
        findings: list[Finding] = []
        if target.pas is not None:
            key = self._options["chain_key"]
            report = verify_folder(target.pas, chain_key=key, holes=target.holes())
            chains = report.chains
            # Ledgers that are left out are no fault of the partitions that are there.
            findings = [f for f in report.all_findings() if f.kind not in LEDGER_ORDER]
        if data is None:
            units = units_of(chains)
        else:
            inventory = take_inventory(data, chains, target.datasets(data))
            units, findings = list(inventory.units), [*findings, *inventory.findings]
        if not units:
            raise UsageError("holds no published partition", where=target.shown)
        return units, tuple(f for f in findings if f.severity == "error")

    def _lake(self, chosen: list[Unit]) -> LedgerSource:
        from bronze_tui.commands._lake import check_network, open_lake

        source = open_lake(self._options["lake"], self._loaded, self._options["sets"])
        self._stack.callback(source.close)
        networks = sorted({unit.chain_key.partition("/")[0] for unit in chosen})
        known: str = self._options["network_passphrase"]
        if not known and self._loaded is not None:
            known = self._loaded.settings.source.network_passphrase
        check_network(source, networks, known)
        return source

    def _work(
        self, chosen: list[Unit], source: LedgerSource, data: Data | None, account: Account
    ) -> None:
        from bronze_tui.commands._depth import teller
        from bronze_tui.engine.memory import tune_allocator
        from bronze_tui.engine.reproduced_state import ReproducedState
        from bronze_tui.engine.reproductions import Work, reproduce
        from bronze_tui.tables.parquet import Compression

        limits = self._limits()
        tune_allocator(limits.jobs)
        text = self._loaded.settings.bronze.compression if self._loaded else "zstd"
        with ExitStack() as stack:
            known = None
            if self._options["state"] is not None:
                context = _context(account)
                known = stack.enter_context(ReproducedState(self._options["state"], context))
            quiet = self._options["quiet"]
            tell = teller("rebuild", stack, quiet=quiet)
            silent = quiet or self._options["as_json"]
            default, keep = Compression.parse(text), self._options["keep"]
            work = Work(chosen, source, data, default, limits, known, keep)
            reproduce(work, lambda found: _told(found, account, silent=silent), tell)

    def _limits(self) -> Limits:
        from bronze_tui.config.sections import PerfSettings, SourceSettings
        from bronze_tui.engine.reproductions import Limits

        jobs = self._options["jobs"] or min(8, os.cpu_count() or 1)
        if self._loaded is not None:
            settings = self._loaded.settings
            return Limits(jobs, settings.source.max_ledger_bytes, settings.perf.memory_budget)
        return Limits(jobs, SourceSettings().max_ledger_bytes, PerfSettings().memory_budget)


def _target(text: str | None, options: dict[str, Any]) -> Target:
    """What to compare with.

    Raises:
        UsageError: nobody said. ConfigError.
    """
    from bronze_tui.commands._target import find_target

    config, pas, data = options["config"], options["pas"], options["data"]
    loaded = None
    if config is not None:
        from bronze_tui.config.load import load

        loaded = load(config, options["sets"])
    named = text or (str(config) if config else data or (str(pas) if pas else ""))
    if not named:
        raise UsageError(
            "what is it to be compared with?",
            where="TARGET",
            todo="give a dataset folder, URL, PAS folder or configuration",
        )
    target = find_target(
        named,
        pas=pas,
        data="" if named == data else data,
        config=loaded,
        sets=options["sets"],
    )
    if options["chain_key"]:
        if options["chain_key"].count("/") != 2:
            raise UsageError("not NETWORK/ERA/VERSION", where="--chain")
        target.chain_keys = (options["chain_key"],)
    return target


def _choice(options: dict[str, Any]) -> Any:
    from bronze_tui.audit.levels.select import Choice

    seed = options["seed"]
    drawn = secrets.randbelow(1 << 32) if seed is None else seed
    return Choice("", options["subset"], options["sample"], drawn)


def _context(account: Account) -> str:
    from bronze_tui.commands._rebuilt import SOFTWARE

    known = (account.lake, account.data, SOFTWARE, account.library)
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _told(found: Reproduced, account: Account, *, silent: bool) -> None:
    from bronze_tui.commands._rebuilt import lines_of

    account.found.append(found)
    if not silent:
        if sys.stderr.isatty():
            # The progress line stands where this one belongs.
            click.echo("\r\x1b[K", err=True, nl=False)
        click.echo("\n".join(lines_of(found)))


def _signer(options: dict[str, Any]) -> SigningKey | None:
    """The key of an attestation, looked at before anything is built.

    Raises:
        UsageError: there is none, or one without --attest, or the file cannot be made.
    """
    path: Path | None = options["attest"]
    if path is None:
        if options["key_file"] is not None:
            raise UsageError("--key goes with --attest")
        return None
    from bronze_tui.commands._signing import signing_key

    if path.exists():
        raise UsageError(
            "stands already, and may be evidence", where=str(path), todo="name another file"
        )
    if not path.absolute().parent.is_dir():
        raise UsageError("no such folder", where=str(path.absolute().parent))
    return signing_key(options["key_file"])


def _attest(account: Account, key: SigningKey, path: Path) -> None:
    from bronze_tui.audit.attestation import sign_attestation
    from bronze_tui.domain.files import create
    from bronze_tui.domain.refusal import refusing

    attestation = account.attestation(key.name)
    if attestation is None:
        click.echo("bronze: nothing was found that could be attested", err=True)
        return
    with refusing(path):
        create(path, sign_attestation(attestation, key))


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """SIGTERM removes temporary files too."""

    def stop(number: int, frame: Any) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
