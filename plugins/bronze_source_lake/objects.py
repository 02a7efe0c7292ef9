"""Which place a lake's URL means."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from bronze_tui.domain.errors import ConfigError
from bronze_tui.hooks.contracts import SourceOptions
from bronze_tui.lake.objects import LakeObjects, PatientObjects

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")


def open_objects(options: SourceOptions) -> LakeObjects:
    """The objects at ``options.url``; a URL without scheme is a local path.

    Raises:
        ConfigError: no such kind of URL. SourceDenied: a local root that is not there.
    """
    from bronze_source_lake.local import LocalObjects

    match = _SCHEME.match(options.url)
    if match is None or match[1] == "file":
        return LocalObjects(local_root(options.url))
    from bronze_source_lake.remote import open_remote

    return PatientObjects(open_remote(options), options.meter)


def local_root(url: str) -> Path:
    """The folder a ``file://`` URL or plain path means.

    Percent signs are taken literally when such a folder exists, since configurations are written
    both ways.

    Raises:
        ConfigError: the URL names a host or no absolute path.
    """
    path = url.removeprefix("file://")
    if url.startswith("file://") and not path.startswith("/"):
        raise ConfigError([f"source.url {url!r} must be file:///absolute/path"])
    if not path:
        raise ConfigError(["source.url is empty, the lake's address was expected"])
    literal = Path(path)
    decoded = Path(unquote(path))
    return decoded if url.startswith("file://") and not literal.exists() else literal
