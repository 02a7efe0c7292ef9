"""What ``--anchors`` and ``--rpc`` name: files, history archives, RPC servers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.audit.history import Reader
    from bronze_tui.audit.levels.anchoring import AnchorSource
    from bronze_tui.audit.rpc import Rpc

RPC_VARIABLE = "BRONZE_RPC_URL"
TOKEN_VARIABLE = "BRONZE_RPC_TOKEN"  # noqa: S105
RPC_WORD = "rpc"
"""Stands for the server of the environment, whose address may hold a key."""
_RPC_PREFIX = "rpc+"
_PERMIT = "--allow-private"


def open_rpc(url: str, *, allow_private: bool, option: str) -> Rpc:
    """The server at ``url``, or the environment's where it is empty or ``rpc``.

    Only the environment's server, or one named on the command line of ``bronze anchor``, is told
    the token.

    Raises:
        UsageError: there is none, or the address is none.
    """
    from bronze_tui.audit.rpc import MAX_ANSWER, Rpc
    from bronze_tui.remote.addresses import Named
    from bronze_tui.remote.web import Web

    named = os.environ.get(RPC_VARIABLE, "").strip() if url in ("", RPC_WORD) else url
    if not named:
        todo = f"give --rpc URL, or the address in {RPC_VARIABLE}"
        raise UsageError("which RPC server is to be asked?", where=option, todo=todo)
    token = "" if url.startswith(_RPC_PREFIX) else os.environ.get(TOKEN_VARIABLE, "").strip()
    return Rpc(
        Web(
            named.removeprefix(_RPC_PREFIX),
            most=MAX_ANSWER,
            named=Named(option if url else RPC_VARIABLE, _PERMIT),
            allow_private=allow_private,
            token=token,
        )
    )


def anchor_files(texts: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Files of trusted hashes, and the names of archives and servers, as ``--anchors`` has them.

    Raises:
        UsageError: one is nothing that is here.
    """
    paths: list[Path] = []
    others: list[str] = []
    for text in texts:
        path = _path(text)
        if path is None or path.is_dir():
            others.append(text)
        elif path.exists():
            paths.append(path)
        else:
            raise UsageError(
                "no such file",
                where=f"--anchors {text}",
                todo="give a file, the folder or address of a history archive, or rpc+https://...",
            )
    return paths, others


def open_anchors(text: str, *, allow_private: bool) -> AnchorSource:
    """The archive or server of one ``--anchors``.

    Raises:
        UsageError: the address is none.
    """
    from bronze_tui.audit.history import Archive, FolderReader
    from bronze_tui.audit.levels.anchoring import ArchiveSource, RpcSource

    if text == RPC_WORD or text.startswith(_RPC_PREFIX):
        return RpcSource(open_rpc(text, allow_private=allow_private, option="--anchors"))
    path = _path(text)
    reader: Reader = _web(text, allow_private) if path is None else FolderReader(path)
    return ArchiveSource(Archive(reader))


def _path(text: str) -> Path | None:
    if text == RPC_WORD:
        return None
    if text.startswith("file://"):
        return Path(unquote(text.removeprefix("file://")))
    return None if "://" in text else Path(text)


def _web(url: str, allow_private: bool) -> Reader:
    from bronze_tui.audit.history import MAX_FILE
    from bronze_tui.remote.addresses import Named
    from bronze_tui.remote.web import Web

    web = Web(url, most=MAX_FILE, named=Named("--anchors", _PERMIT), allow_private=allow_private)
    web.where = web.endpoint.shown.rstrip("/")
    return web
