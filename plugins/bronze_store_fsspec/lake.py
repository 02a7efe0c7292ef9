"""Lake objects behind an fsspec filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bronze_store_fsspec.causes import Kind, cause_of
from bronze_store_fsspec.place import Place
from bronze_tui.domain.errors import (
    SourceDataError,
    SourceDenied,
    SourceThrottled,
    SourceUnavailable,
)
from bronze_tui.lake.objects import MAX_OBJECT_BYTES

_TODO = {
    Kind.REGION: "set source.region to the bucket's",
    Kind.CREDENTIALS: "set them in the environment, or source.anonymous: true for a public lake",
    Kind.DENIED: "check credentials, source.anonymous and source.requester_pays",
    Kind.NO_BUCKET: "correct source.url",
}


class FsspecObjects:
    """Lake objects below one folder of a filesystem (``LakeObjects``)."""

    is_local = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self.location = place.location
        self.can_list = place.protocol not in ("http", "https")

    def read(self, key: str) -> bytes:
        """See ``LakeObjects.read``."""
        where = f"{self.location}/{key}"
        try:
            data = self._place.fs.cat_file(self._place.path(key), start=0, end=MAX_OBJECT_BYTES + 1)
        except Exception as error:
            raise _source_error(error, where) from None
        if len(data) > MAX_OBJECT_BYTES:
            raise SourceDataError(f"the object has more than {MAX_OBJECT_BYTES} bytes", where=where)
        return bytes(data)

    def holds(self, key: str) -> bool:
        """See ``LakeObjects.holds``."""
        try:
            return bool(self._place.fs.info(self._place.path(key)))
        except Exception as error:
            failure = _source_error(error, f"{self.location}/{key}")
            if isinstance(failure, FileNotFoundError):
                return False
            raise failure from None

    def list_keys(self) -> Iterator[str]:
        """See ``LakeObjects.list_keys``; fsspec lists a folder as a whole."""
        for name, is_folder in self._entries(""):
            if not is_folder:
                yield name
                continue
            for inner, deeper in self._entries(name):
                if not deeper:
                    yield f"{name}/{inner}"

    def close(self) -> None:
        """Connections belong to the filesystem and go with it."""

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """Names of a folder in order, and whether each is a folder."""
        path = self._place.path(folder).rstrip("/")
        try:
            found: list[dict[str, Any]] = self._place.fs.ls(path, detail=True)
        except Exception as error:
            failure = _source_error(error, f"{self.location}/{folder}".rstrip("/"))
            if isinstance(failure, FileNotFoundError):
                return []
            raise failure from None
        entries = (
            (str(one["name"]).rstrip("/").rpartition("/")[2], one["type"] == "directory")
            for one in found
            if str(one["name"]).rstrip("/") != path
        )
        # As an object store orders keys, where a folder's name ends with a slash.
        return sorted(entries, key=lambda entry: entry[0] + "/" * entry[1])


def _source_error(error: Exception, where: str) -> Exception:
    cause = cause_of(error)
    if cause.kind is Kind.ABSENT:
        return FileNotFoundError(where)
    if cause.kind is Kind.THROTTLED:
        return SourceThrottled(f"no answer ({cause.text})", where=where)
    if cause.kind is Kind.UNAVAILABLE:
        return SourceUnavailable(f"no answer ({cause.text})", where=where)
    todo = _TODO.get(cause.kind, "")
    return SourceDenied(f"{cause.kind.value} ({cause.text})", where=where, todo=todo)
