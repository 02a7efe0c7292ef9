"""What an exception of some fsspec filesystem means; each library has its own words."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """Families of causes."""

    ABSENT = "absent"
    TAKEN = "the name is taken"
    NO_BUCKET = "no such bucket"
    REGION = "the bucket is in another region"
    CREDENTIALS = "no credentials were found"
    DENIED = "access refused"
    FULL = "the store is full"
    THROTTLED = "asked to slow down"
    UNAVAILABLE = "no answer"
    REFUSED = "request refused"


@dataclass(frozen=True, slots=True)
class Cause:
    """The family, and what the library said."""

    kind: Kind
    text: str


_BY_CODE = {
    "NoSuchBucket": Kind.NO_BUCKET,
    "PermanentRedirect": Kind.REGION,
    "AuthorizationHeaderMalformed": Kind.REGION,
    "IllegalLocationConstraintException": Kind.REGION,
    "QuotaExceeded": Kind.FULL,
    "XMinioStorageFull": Kind.FULL,
    # Two writers met at AWS: nothing was written by this request, and a retry decides.
    "ConditionalRequestConflict": Kind.UNAVAILABLE,
}
_BY_STATUS = {
    301: Kind.REGION,
    401: Kind.DENIED,
    403: Kind.DENIED,
    404: Kind.ABSENT,
    408: Kind.UNAVAILABLE,
    409: Kind.UNAVAILABLE,
    412: Kind.TAKEN,
    425: Kind.UNAVAILABLE,
    429: Kind.THROTTLED,
    501: Kind.REFUSED,
    503: Kind.THROTTLED,
    507: Kind.FULL,
}
_BY_NAME = {
    "NoCredentialsError": Kind.CREDENTIALS,
    "PartialCredentialsError": Kind.CREDENTIALS,
    "ProfileNotFound": Kind.CREDENTIALS,
    "DefaultCredentialsError": Kind.CREDENTIALS,
    "RefreshError": Kind.CREDENTIALS,
    "AuthenticationException": Kind.DENIED,
}
_BY_ERRNO = {
    errno.ENOSPC: Kind.FULL,
    errno.EDQUOT: Kind.FULL,
    errno.EROFS: Kind.REFUSED,
    errno.EISDIR: Kind.REFUSED,
    errno.ENOTDIR: Kind.ABSENT,
}


def cause_of(error: BaseException) -> Cause:
    """The cause: the server's code before its status, its status before the exception's type.

    s3fs hides the answer behind another exception (a 412 of most servers comes as EINVAL), so the
    whole chain of causes is looked at.
    """
    text = first_line(error)
    chain = _chain(error)
    for one in chain:
        kind = _by_answer(one) or _BY_NAME.get(type(one).__name__)
        if kind is not None:
            return Cause(kind, text)
    for one in chain:
        kind = _by_type(one)
        if kind is not None:
            return Cause(kind, text)
    return Cause(Kind.UNAVAILABLE, text)


def first_line(error: BaseException) -> str:
    """The first line of its text, or its type's name where it says nothing."""
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return line if len(line) <= 300 else f"{line[:300]}..."


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found and len(found) < 8:
        found.append(one)
        one = one.__cause__
    return found


def _by_answer(error: BaseException) -> Kind | None:
    response: Any = getattr(error, "response", None)
    code, status = "", getattr(error, "code", None) or getattr(error, "status", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _BY_CODE:
        return _BY_CODE[code]
    if not isinstance(status, int):
        return None
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return Kind.REFUSED
    return Kind.UNAVAILABLE if status >= 500 else None


def _by_type(error: BaseException) -> Kind | None:
    if isinstance(error, FileNotFoundError):
        return Kind.ABSENT
    if isinstance(error, FileExistsError):
        return Kind.TAKEN
    if isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
        return Kind.DENIED
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    if isinstance(error, ValueError | NotImplementedError | TypeError):
        return Kind.REFUSED
    return None
