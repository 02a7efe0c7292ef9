"""The one error tree; each leaf says its exit code and whether a retry can help.

    BronzeError                      exit 1
    ├── UsageError                   exit 2   wrong command line
    │   └── ConfigError              exit 2   wrong configuration (may carry many problems)
    ├── SourceError                           reading ledgers
    │   ├── SourceUnavailable        exit 7   retryable: time-outs, refused connections
    │   │   └── SourceThrottled               the source asks to slow down
    │   ├── SourceDenied             exit 7   permanent: permissions, credentials, unreadable file
    │   └── SourceDataError          exit 5   permanent: the bytes are wrong
    │       ├── FrameError                    zstd frame broken, bomb, trailing bytes
    │       ├── XdrError                      not a valid LedgerCloseMeta (offset, field path)
    │       ├── LedgerMismatch                sequence, header hash, counts disagree
    │       ├── LinkError                     previous-ledger hash does not link
    │       └── GapError                      an object is missing although a newer one exists
    ├── StoreError                            writing partitions
    │   ├── StoreUnavailable         exit 7   retryable
    │   │   ├── CatalogUnavailable            the catalog's server does not answer
    │   │   └── StoreThrottled                the store asks to slow down
    │   ├── StoreRefused             exit 1   permanent: disk full, read-only, no permission
    │   └── StoreConflict            exit 5   other bytes stand where ours belong
    ├── StateError                   exit 5   catalog, checkpoint, commit record or chain disagree
    ├── LockedError                  exit 6   another copier holds the dataset
    ├── VerificationError            exit 3   the proof failed
    ├── PluginError                  exit 4   a required plugin failed
    ├── EngineUnreachable            exit 7   no running engine answers a control command
    └── Stopped                      exit 130/143, by signal; 0 when asked for by control

Source errors and store errors are different families on purpose: after a store error nothing may
be committed, whatever the source said.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Documented exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    VERIFICATION = 3
    PLUGIN = 4
    HALTED = 5
    LOCKED = 6
    UNREACHABLE = 7
    SIGINT = 130
    SIGTERM = 143


class BronzeError(Exception):
    """What happened, where, and what to do; printed as one line without a traceback.

    Args:
        what: the rule broken, in one sentence without a final full stop.
        where: object key, path, ledger or byte offset it was found at.
        todo: the operator's next safe step.
    """

    exit_code: Exit = Exit.FAILED
    retryable: bool = False

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.todo}" if self.todo else text


class UsageError(BronzeError):
    """The command line cannot be obeyed."""

    exit_code = Exit.USAGE


class ConfigError(UsageError):
    """The configuration is wrong; ``problems`` has one line per finding, all found at once."""

    def __init__(self, problems: list[str], *, where: str = "") -> None:
        self.problems = problems
        what = problems[0] if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(what, where=where)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class SourceError(BronzeError):
    """Reading ledgers failed."""


class SourceUnavailable(SourceError):
    """The source did not answer; a retry may help."""

    exit_code = Exit.UNREACHABLE
    retryable = True


class SourceThrottled(SourceUnavailable):
    """The source asks to slow down (429, 503)."""


class SourceDenied(SourceError):
    """The source refuses us: permissions, credentials, unreadable file."""

    exit_code = Exit.UNREACHABLE


class SourceDataError(SourceError):
    """The source's bytes break a rule; retrying reads the same bytes."""

    exit_code = Exit.HALTED


class FrameError(SourceDataError):
    """The zstd frame is truncated, oversized, lying or followed by other bytes."""


class XdrError(SourceDataError):
    """Bytes are not one valid XDR value; ``offset`` counts from the value's first byte."""

    def __init__(
        self, what: str, *, offset: int = -1, path: str = "", where: str = "", todo: str = ""
    ) -> None:
        self.offset = offset
        self.path = path
        place = f" at byte {offset}" if offset >= 0 else ""
        field = f" in {path}" if path else ""
        super().__init__(f"{what}{place}{field}", where=where, todo=todo)


class LedgerMismatch(SourceDataError):
    """A ledger disagrees with its key, its own hash or its own counts."""


class LinkError(SourceDataError):
    """A ledger's previous-ledger hash is not the hash of the ledger before it."""


class GapError(SourceDataError):
    """A ledger is missing although the source holds newer ones."""


class StoreError(BronzeError):
    """Writing failed; nothing may be committed after it."""


class StoreUnavailable(StoreError):
    """The store did not answer; a retry may help."""

    exit_code = Exit.UNREACHABLE
    retryable = True
    retry_after: float | None = None
    """Seconds that the other side asked to wait, where it did."""


class CatalogUnavailable(StoreUnavailable):
    """The catalog's server does not answer, or will not work now. What was being committed is
    committed or not: whoever goes on looks first."""


class StoreThrottled(StoreUnavailable):
    """The store asks to slow down (429, 503)."""


class StoreRefused(StoreError):
    """The store will not take it: disk full, quota, read-only, no permission."""


class StoreConflict(StoreError):
    """Other bytes stand at an immutable key."""

    exit_code = Exit.HALTED


class StateError(BronzeError):
    """Catalog, checkpoint, commit records or audit chain are damaged or disagree."""

    exit_code = Exit.HALTED


class LockedError(BronzeError):
    """Another copier works on this dataset."""

    exit_code = Exit.LOCKED


class VerificationError(BronzeError):
    """A proof failed."""

    exit_code = Exit.VERIFICATION


class PluginError(BronzeError):
    """A plugin that the configuration requires failed to load or to work."""

    exit_code = Exit.PLUGIN


class EngineUnreachable(BronzeError):
    """No running engine answers on the control socket."""

    exit_code = Exit.UNREACHABLE


class Stopped(BronzeError):
    """Work was given up because somebody asked for it."""
