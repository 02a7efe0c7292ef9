"""Rules that span keys: what makes a configuration unusable, and what is worth a warning."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import pairwise

from bronze_tui.config import values
from bronze_tui.config.models import Settings
from bronze_tui.config.resolve import DATASTORE_SCHEMES, source_url, store_url
from bronze_tui.config.sections import EraSettings
from bronze_tui.domain.endpoint import parse_endpoint, refusal_of
from bronze_tui.domain.ledger import FIRST_LEDGER, MAX_LEDGER

_SOURCE_KEYS = {
    "local": {"local_path"},
    "gcs": {"gcs_bucket", "gcs_prefix"},
    "s3": {"s3_bucket", "s3_prefix", "s3_endpoint", "s3_region"},
    "datastore": {"datastore_type", "datastore_path", "s3_endpoint", "s3_region"},
}
_STORE_KEYS = {
    "local": {"local_dir"},
    "gcs": {"gcs_bucket"},
    "s3": {"s3_bucket", "s3_endpoint", "s3_region"},
}
_SCHEME_OF_MODE = {"local": "file", "gcs": "gs", "s3": "s3"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule and the keys it is about, the most telling first."""

    keys: tuple[str, ...]
    what: str
    todo: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Everything that makes ``settings`` unusable."""
    if settings.eras:
        yield from _era_list(settings)
    yield from _eras(settings)
    yield from _active(settings)
    yield from _source(settings)
    yield from _store(settings)
    yield from _audit(settings)
    yield from _plugins(settings)


def warnings(settings: Settings, given: Set[str]) -> Iterator[str]:
    """What is accepted but has no effect, or another one than the Go copier's.

    ``given`` are the dotted keys that somebody set.
    """
    yield from _unused(settings, given)
    for key in sorted(k for k in given if k.endswith(".allow_overwrite")):
        section, _, _ = key.rpartition(".")
        era = settings.eras[int(section[5:])] if section.startswith("eras.") else settings.era
        if era.allow_overwrite:
            yield f"{key}: ignored, partitions are immutable; a new version_label starts anew"
    if settings.eras and any(key.startswith("era.") for key in given):
        yield "era: not used, eras takes precedence"
    if settings.catalog.postgres_dsn.get_secret_value() and settings.catalog.path:
        yield "catalog.path: not used, the catalog is in PostgreSQL"
    if settings.pas.endpoint and not settings.pas.enabled:
        yield "pas.endpoint: not used while pas.enabled is false"
    if settings.pas.endpoint.startswith("http://") and not _here(settings.pas.endpoint):
        yield "pas.endpoint: events travel unencrypted; use https"
        if settings.pas.token.get_secret_value():
            yield "pas.token: travels unencrypted too"
    yield from _near_builtin("source.mode", settings.source.mode, _SOURCE_KEYS)
    yield from _near_builtin("storage.backend", settings.storage.backend, _STORE_KEYS)


def _named_eras(settings: Settings) -> list[tuple[str, EraSettings]]:
    if settings.eras:
        return [(f"eras.{index}", era) for index, era in enumerate(settings.eras)]
    return [("era", settings.era)]


def _eras(settings: Settings) -> Iterator[Finding]:
    for name, era in _named_eras(settings):
        start, end = f"{name}.ledger_start", f"{name}.ledger_end"
        if era.ledger_end and era.ledger_end < era.ledger_start:
            what = f"{era.ledger_end} is below ledger_start {era.ledger_start}"
            yield Finding((end, start), what, "raise it, or write 0 for no end")
        elif era.ledger_end and era.ledger_end < FIRST_LEDGER:
            what = f"no lake holds a ledger below {FIRST_LEDGER}"
            yield Finding((end, start), what, "raise it, or write 0 for no end")
        elif not era.ledger_end and era.ledger_start + era.partition_size - 1 > MAX_LEDGER:
            what = f"no whole partition fits below ledger {MAX_LEDGER}"
            yield Finding((start, f"{name}.partition_size"), what, "lower it")


def _era_list(settings: Settings) -> Iterator[Finding]:
    chains: dict[str, str] = {}
    networks: dict[str, list[tuple[str, EraSettings]]] = {}
    for name, era in _named_eras(settings):
        chain = f"{era.network}/{era.era_id}/{era.version_label}"
        if chain in chains:
            what = f"{chain} is also {chains[chain]}"
            yield Finding((f"{name}.era_id", name), what, "give each era its own name")
        chains.setdefault(chain, name)
        networks.setdefault(era.network, []).append((name, era))
    for group in networks.values():
        for (before, earlier), (name, era) in pairwise(group):
            yield from _follows(before, earlier, name, era)


def _follows(before: str, earlier: EraSettings, name: str, era: EraSettings) -> Iterator[Finding]:
    key = f"{name}.ledger_start"
    if not earlier.ledger_end:
        what = f"has no end, but {name} follows it"
        yield Finding((f"{before}.ledger_end", before), what, "give it a last ledger")
    elif era.ledger_start < earlier.ledger_start:
        what = f"{era.ledger_start} is below {before}'s start {earlier.ledger_start}"
        yield Finding((key, before), what, "write eras in ascending order")
    elif era.ledger_start <= earlier.ledger_end:
        what = f"{era.ledger_start} overlaps {before}, which ends at {earlier.ledger_end}"
        yield Finding((key, before), what, f"start at {earlier.ledger_end + 1} or later")


def _active(settings: Settings) -> Iterator[Finding]:
    known = [era.era_id for _, era in _named_eras(settings)]
    for index, name in enumerate(settings.active_eras):
        key = (f"active_eras.{index}", "eras", "era.era_id")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            todo = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            yield Finding(key, f"no era is called {name!r}", todo)
        elif name in settings.active_eras[:index]:
            yield Finding(key, f"{name!r} is named twice", "remove one of them")
    networks = sorted({era.network for era in settings.active()})
    if len(networks) > 1:
        what = f"eras of several networks ({', '.join(networks)}), but one source has only one"
        yield Finding(("eras",), what, "choose with active_eras, or write a file for each")


def _source(settings: Settings) -> Iterator[Finding]:
    source = settings.source
    key = f"source.{_main_key(source.mode)}"
    if source.url:
        yield from _scheme("source.url", "source.mode", source.mode, source_url(source))
    elif source.mode == "datastore" and source.datastore_path:
        yield from _datastore(settings)
    elif source.mode in _SOURCE_KEYS and not source_url(source):
        yield Finding(
            (key, "source.mode"),
            f"is missing, although source.mode is {source.mode}",
            "write where the lake is, here or as source.url",
        )


def _datastore(settings: Settings) -> Iterator[Finding]:
    source = settings.source
    key = ("source.datastore_path", "source.datastore_type", "source.mode")
    path, kind = source.datastore_path, source.datastore_type
    try:
        values.address(path) if values.is_address(path) else values.path(path)
    except ValueError as error:
        what, _, todo = str(error).partition("; ")
        yield Finding(key, what, todo)
    free = values.is_address(path) or path.startswith("/")
    if kind.lower() not in DATASTORE_SCHEMES and (kind or not free):
        what = f"{kind!r} is not GCS, S3 or Filesystem" if kind else "is missing"
        yield Finding(("source.datastore_type", *key), what, "write GCS, S3 or Filesystem")


def _store(settings: Settings) -> Iterator[Finding]:
    storage = settings.storage
    if storage.url:
        yield from _scheme("storage.url", "storage.backend", storage.backend, store_url(storage))
    elif storage.backend in _STORE_KEYS and not store_url(storage):
        key = f"storage.{storage.backend}_bucket"
        yield Finding(
            (key, "storage.backend"),
            f"is missing, although storage.backend is {storage.backend}",
            "write where to put Bronze, here or as storage.url",
        )


def _scheme(key: str, mode_key: str, mode: str, url: str) -> Iterator[Finding]:
    wanted = _SCHEME_OF_MODE.get(mode)
    scheme = url.partition("://")[0]
    if wanted and scheme != wanted:
        fitting = [name for name, of in _SCHEME_OF_MODE.items() if of == scheme]
        todo = f"write {mode_key}: {fitting[0] if fitting else 'datastore'}"
        yield Finding((key, mode_key), f"is a {scheme}:// address, but {mode_key} is {mode}", todo)


def _audit(settings: Settings) -> Iterator[Finding]:
    """What an address tells by itself; names are resolved and checked before each connection."""
    pas = settings.pas
    if not (pas.enabled and pas.endpoint):
        return
    endpoint = parse_endpoint(pas.endpoint)
    literal, keys = endpoint.literal, ("pas.endpoint", "pas.allow_private")
    if literal is not None:
        why = refusal_of(endpoint, literal, allow_private=pas.allow_private)
        if why:
            todo = "write the public https address, or pas.allow_private: true where that helps"
            yield Finding(keys, f"is not allowed: {why}", todo)
    elif endpoint.scheme == "http" and not (endpoint.names_this_machine or pas.allow_private):
        what = "is http to another machine, where anybody on the way can answer for it"
        yield Finding(keys, what, "use https; in a private network: pas.allow_private: true")


def _plugins(settings: Settings) -> Iterator[Finding]:
    plugins = settings.plugins
    for name in ("allow", "disable", "required"):
        for index, plugin in enumerate(getattr(plugins, name)):
            if not plugin.strip():
                todo = "write the plugin's name or remove the line"
                yield Finding((f"plugins.{name}.{index}",), "is empty", todo)
    for plugin in sorted({*plugins.disable} & {*plugins.required, *plugins.allow}):
        what = f"{plugin!r} is disabled and also allowed or required"
        yield Finding(("plugins.disable",), what, "remove it from one of the lists")


def _unused(settings: Settings, given: Set[str]) -> Iterator[str]:
    for section, choice, chosen, table, url in (
        ("source", "mode", settings.source.mode, _SOURCE_KEYS, settings.source.url),
        ("storage", "backend", settings.storage.backend, _STORE_KEYS, settings.storage.url),
    ):
        used = set(table.get(chosen, ()))
        reason = f"{section}.{choice} is {chosen}"
        if url:
            used &= {"s3_endpoint", "s3_region"}
            reason = f"{section}.url takes precedence"
        for name in sorted(set().union(*table.values()) - used):
            if f"{section}.{name}" in given:
                yield f"{section}.{name}: not used, {reason}"


def _main_key(mode: str) -> str:
    return {
        "local": "local_path",
        "gcs": "gcs_bucket",
        "s3": "s3_bucket",
        "datastore": "datastore_path",
    }.get(mode, "url")


def _near_builtin(key: str, name: str, builtin: dict[str, set[str]]) -> Iterator[str]:
    close = difflib.get_close_matches(name, builtin, n=1, cutoff=0.75)
    if name not in builtin and close:
        yield f"{key}: {name} is not built in; did you mean {close[0]}?"


def _here(url: str) -> bool:
    return parse_endpoint(url).names_this_machine
