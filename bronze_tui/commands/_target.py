"""What ``bronze verify TARGET`` means: where events, data files, catalog and source are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from bronze_tui.audit.folder import resolve
from bronze_tui.audit.names import BACKUP_FOLDER
from bronze_tui.config.redact import redact
from bronze_tui.domain.errors import BronzeError, UsageError
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.audit.data import Data
    from bronze_tui.audit.levels.run import Catalogs
    from bronze_tui.config.load import Loaded
    from bronze_tui.hooks.contracts import LedgerSource, Store

_PREFIXES = ("", "bronze")


@dataclass(slots=True)
class Target:
    """What was named, or found beside it."""

    shown: str
    pas: Path | None = None
    data: Path | None = None
    """Data folder with the prefix, where it is a folder of this machine."""
    url: str = ""
    """Bucket address, where it is none."""
    chain_keys: tuple[str, ...] = ()
    """Datasets to judge; empty: all."""
    loaded: Loaded | None = None
    prefix: str = ""
    _open: list[Store] = field(default_factory=list)

    def close(self) -> None:
        """Release stores; idempotent."""
        while self._open:
            self._open.pop().close()

    def open_data(self) -> Data:
        """Where the data files are.

        Raises:
            UsageError: nobody said. PluginError, StoreError.
        """
        from bronze_tui.audit.data import Folder, Remote

        if self.data is not None:
            return Folder(self.data)
        if self.url or self.loaded is not None:
            store = self._store()
            self._open.append(store)
            return Remote(store, self.prefix)
        raise UsageError(
            "where the data files are is not known",
            where=self.shown,
            todo="give --data FOLDER or URL, or a configuration file as the target",
        )

    def datasets(self, data: Data) -> list[str]:
        """Chain keys of the datasets to judge, by the configuration or the folders there are."""
        if self.chain_keys:
            return list(self.chain_keys)
        if self.data is not None:
            return sorted(_datasets(self.data))
        keys: set[str] = set()
        for name in data.names(""):
            parts = name.split("/")
            if len(parts) > 4 and parts[3] in (RAW_TABLE, "_commits"):
                keys.add("/".join(parts[:3]))
        return sorted(keys)

    def holes(self) -> dict[str, list[LedgerRange]]:
        """Declared holes of the datasets, where their folder is on this machine."""
        from bronze_tui.audit.folder import declared_holes

        found: dict[str, list[LedgerRange]] = {}
        for key in _datasets(self.data) if self.data is not None else ():
            folder = self.data / key / "_holes" if self.data else None
            if folder is not None and folder.is_dir():
                found.update(declared_holes(folder))
        return found

    def catalogs(self) -> Catalogs:
        """Rows of the configuration's catalog, by chain key; none without one.

        Raises:
            StateError, CatalogUnavailable: it cannot be read.
        """
        if self.loaded is None:
            return {}
        from bronze_tui.audit.levels.manifests import CatalogEntry
        from bronze_tui.catalog.opening import read_catalog

        catalog = read_catalog(self.loaded.settings)
        if catalog is None:
            return {}
        try:
            return {
                key: {
                    row.partition: CatalogEntry(
                        row.partition, row.event_hash, row.checksum, row.commit_sha256
                    )
                    for row in catalog.rows(key)
                }
                for key in catalog.chain_keys()
            }
        finally:
            catalog.close()

    def open_source(self) -> tuple[LedgerSource, int]:
        """The configured ledger source, and the bytes that one object may have.

        Raises:
            UsageError: no configuration is known. PluginError, SourceError.
        """
        if self.loaded is None:
            raise UsageError(
                "level source takes the lake's address",
                where="--level",
                todo="give the configuration of the copy as the target or with --config",
            )
        from bronze_tui.hooks.manager import load_plugins

        settings = self.loaded.settings
        host = load_plugins(
            allow=settings.plugins.allow,
            disable=settings.plugins.disable,
            needed={settings.source.mode},
        )
        source: LedgerSource = host.source(settings.source.mode)(settings.source_options())
        return source, settings.source.max_ledger_bytes

    def _store(self) -> Store:
        from dataclasses import replace

        from bronze_tui.hooks.contracts import StoreOptions
        from bronze_tui.hooks.manager import load_plugins

        allow: tuple[str, ...] = ()
        options = StoreOptions("", "", Path(tempfile.gettempdir()))
        if self.loaded is not None:
            settings = self.loaded.settings
            allow, options = tuple(settings.plugins.allow), settings.store_options()
        if self.url:
            backend = options.backend if options.backend not in ("", "local") else "object"
            options = replace(options, backend=backend, url=self.url)
        host = load_plugins(allow=allow, disable=(), needed={options.backend})
        store: Store = host.store(options.backend)(options)
        return store


def find_target(
    text: str,
    *,
    pas: Path | None,
    data: str,
    config: Loaded | None,
    sets: Sequence[str] = (),
) -> Target:
    """What ``text`` names: a configuration file, a PAS folder, a dataset folder or a URL.

    Args:
        pas: ``--pas``. data: ``--data``. config: of ``--config``.
        sets: ``--set``, for a configuration that ``text`` names.

    Raises:
        UsageError: nothing that can be verified. ConfigError: the configuration is wrong.
    """
    if "://" in text and not text.startswith("file://"):
        target = Target(text, loaded=config)
        _take_data(target, text)
        target.pas = resolve(pas) if pas else None
        return target
    path = Path(text.removeprefix("file://"))
    if path.is_file():
        from bronze_tui.config.load import load

        config = load(path, sets)
    target = Target(text, loaded=config)
    if config is not None:
        _take_config(target, config)
    if not path.is_file():
        _take_folder(target, path)
    if pas is not None:
        target.pas = resolve(pas)
    if data:
        _take_data(target, data)
    return target


def _take_config(target: Target, loaded: Loaded) -> None:
    settings = loaded.settings
    target.chain_keys = tuple(era.chain_key for era in settings.active())
    target.prefix = settings.storage.prefix
    if settings.storage.backend == "local":
        from bronze_tui.config.resolve import store_url

        address = urlsplit(store_url(settings.storage))
        target.data = Path(unquote(address.path)) / settings.storage.prefix
    folder = settings.emitter_options().backup_dir
    if folder.is_dir():
        target.pas = resolve(folder)


def _take_folder(target: Target, path: Path) -> None:
    if not path.exists():
        raise UsageError("no such folder", where=str(path))
    found = _data_folder(path)
    if found is None:
        target.pas = resolve(path)
        if target.data is None and not target.url:
            target.data = next(_beside(target.pas), None)
        return
    target.data, target.chain_keys = found
    named = (path / BACKUP_FOLDER, path.parent / BACKUP_FOLDER, target.data.parent / BACKUP_FOLDER)
    for folder in (*named, target.data.parent.parent / BACKUP_FOLDER):
        if target.pas is None and folder.is_dir():
            target.pas = folder


def _take_data(target: Target, text: str) -> None:
    if "://" in text and not text.startswith("file://"):
        parts = _address(text)
        target.url = f"{parts.scheme}://{parts.netloc}"
        inside = parts.path.strip("/")
        target.prefix = f"{inside}/" if inside else ""
        target.data = None
        return
    path = Path(text.removeprefix("file://"))
    if not path.is_dir():
        raise UsageError("no such folder", where=f"--data {text}")
    found = _data_folder(path)
    if found is None:
        raise UsageError(
            f"no dataset here: no NETWORK/ERA/VERSION/{RAW_TABLE}", where=f"--data {text}"
        )
    target.data = found[0]


def _address(text: str) -> SplitResult:
    """A store's URL taken apart; one that holds credentials would be printed and remembered."""
    from bronze_tui.config.values import address

    scheme, _, rest = text.partition("://")
    try:
        return urlsplit(address(f"{scheme.lower()}://{rest}"))
    except ValueError as error:
        raise UsageError(
            f"the address {str(error).partition('; ')[0]}",
            where=redact(text),
            todo="give s3://BUCKET/PREFIX, and credentials in the environment",
        ) from None


def _data_folder(path: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The folder whose children are networks, and the dataset when ``path`` is one itself."""
    full = path.resolve()
    if _is_dataset(full) and len(full.parts) > 3:
        return full.parents[2], ("/".join(full.parts[-3:]),)
    for prefix in _PREFIXES:
        if next(_datasets(full / prefix), None) is not None:
            return full / prefix, ()
    return None


def _beside(pas: Path) -> Iterator[Path]:
    """Data folders where a copy keeps them next to its events."""
    for folder in (pas.parent / "data", pas.parent):
        found = _data_folder(folder) if folder.is_dir() else None
        if found is not None and not found[1]:
            yield found[0]


def _datasets(base: Path) -> Iterator[str]:
    try:
        for folder in sorted(base.glob("*/*/*")):
            if _is_dataset(folder):
                yield folder.relative_to(base).as_posix()
    except OSError as error:
        raise _refused(base, error) from error


def _is_dataset(folder: Path) -> bool:
    return (folder / RAW_TABLE).is_dir() or (folder / "_commits").is_dir()


def _refused(base: Path, error: OSError) -> BronzeError:
    from bronze_tui.domain.errors import SourceDenied

    return SourceDenied(f"cannot be listed ({error.strerror})", where=str(base))
