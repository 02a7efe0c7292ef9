"""C2SP signed notes with Ed25519 (signature type 0x01), and their keys in the same texts as Go's.

    text, ending with a newline
    <empty line>
    — NAME base64(key id || signature)

Source: c2sp.org/signed-note, golang.org/x/mod/sumdb/note. PyNaCl is imported when a signature is
made or checked, not before.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import UsageError

VKEY_VARIABLE = "BRONZE_VKEY"
"""Environment variable of the keys whose signatures are trusted, one a line."""
MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 64
ED25519 = b"\x01"

_SECRET = "PRIVATE+KEY+"  # noqa: S105
_BAD_NAME = re.compile(r"[\s+\x00-\x1f\x7f]")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key and its owner's name; ``str`` gives the vkey, ``NAME+KEYID+BASE64``."""

    name: str
    public: bytes
    """32 bytes, RFC 8032."""

    @property
    def key_id(self) -> bytes:
        """``SHA-256(name || 0x0A || 0x01 || public key)[:4]``."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_b64(ED25519 + self.public)}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; never shown by ``repr``."""

    name: str
    seed: bytes = field(repr=False)
    """32 bytes, RFC 8032."""

    @property
    def verify_key(self) -> VerifyKey:
        """What others need to check its signatures."""
        from nacl.signing import SigningKey as Ed25519

        return VerifyKey(self.name, bytes(Ed25519(self.seed).verify_key))

    def secret_text(self) -> str:
        """``PRIVATE+KEY+NAME+KEYID+BASE64``, for a file that nobody else can read."""
        return f"{_SECRET}{self.name}+{self.verify_key.key_id.hex()}+{_b64(ED25519 + self.seed)}"


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note's text, and the keys whose signatures on it are good: at least one."""

    text: str
    signers: tuple[VerifyKey, ...]


def new_key(name: str) -> SigningKey:
    """A fresh random key.

    Raises:
        UsageError: a key cannot be called so.
    """
    _check_name(name)
    return SigningKey(name, secrets.token_bytes(32))


def parse_vkey(text: str) -> VerifyKey:
    """Read ``NAME+KEYID+BASE64``.

    Raises:
        UsageError: it is no such text, of another key type, or its parts disagree.
    """
    name, key_id, public = _key_parts(text.strip(), "verification key (vkey)")
    key = VerifyKey(name, public)
    if key.key_id != key_id:
        raise UsageError(
            f"the verification key (vkey) of {name!a} is damaged: its id is not that of its bytes",
            todo="copy it again",
        )
    return key


def parse_signing_key(text: str) -> SigningKey:
    """Read ``PRIVATE+KEY+NAME+KEYID+BASE64``; the text is never repeated in an error.

    Raises:
        UsageError: it is no such text, of another key type, or its parts disagree.
    """
    text = text.strip()
    if not text.startswith(_SECRET):
        raise UsageError("not a signing key", todo="make one with 'bronze key new NAME'")
    name, key_id, seed = _key_parts(text.removeprefix(_SECRET), "signing key")
    key = SigningKey(name, seed)
    if key.verify_key.key_id != key_id:
        raise UsageError(f"the signing key of {name!a} is damaged: its id is not that of its bytes")
    return key


def sign_note(text: str, key: SigningKey) -> bytes:
    """``text`` (ending with a newline) as a note with one signature.

    Raises:
        ValueError: a note cannot hold the text.
    """
    from nacl.signing import SigningKey as Ed25519

    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("a note's text ends with a newline and has no control characters")
    signature = Ed25519(key.seed).sign(text.encode()).signature
    blob = _b64(key.verify_key.key_id + signature)
    return f"{text}\n— {key.name} {blob}\n".encode()


def open_note(data: bytes, keys: Iterable[VerifyKey]) -> OpenedNote:
    """Read a note and check every signature of a key in ``keys``; others' are passed over.

    Raises:
        ProofRejected: no note, a bad signature of a known key, or no known key signed it.
    """
    text, signatures = split_note(data)
    known = {(key.name, key.key_id): key for key in keys}
    signers: dict[VerifyKey, None] = {}
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if not _is_good(key, text.encode(), signature):
            raise ProofRejected(
                f"the signature of {name} is wrong",
                todo="it was altered, or somebody else signed it in that name",
            )
        signers[key] = None
    if not signers:
        there = ", ".join(sorted({f"{name}+{key_id.hex()}" for name, key_id, _ in signatures}))
        wanted = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "none"
        raise ProofRejected(f"no trusted key signed it (signed by {there}; trusted: {wanted})")
    return OpenedNote(text, tuple(signers))


def split_note(data: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text and its signatures as (name, key id, signature); nothing is checked.

    Raises:
        ProofRejected: it is not a note.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise ProofRejected(f"not a signed note: larger than {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise ProofRejected(f"not a signed note: not UTF-8 at byte {error.start}") from None
    if _CONTROL.search(whole):
        raise ProofRejected("not a signed note: it has control characters")
    text, blank, block = whole.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise ProofRejected("not a signed note: no empty line and signatures at its end")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ProofRejected(f"not a signed note: more than {MAX_SIGNATURES} signatures")
    return text + "\n", [_signature(line) for line in lines]


def unbase64(text: str) -> bytes:
    """Standard base64 in its one canonical spelling.

    Raises:
        ValueError: it is another text.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if _b64(data) != text:
        raise ValueError("not base64 as it is written")
    return data


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        blob = unbase64(encoded)
    except ValueError:
        blob = b""
    if dash != "—" or not name or _BAD_NAME.search(name) or len(blob) < 5:
        raise ProofRejected("not a signed note: a malformed signature line")
    return name, blob[:4], blob[4:]


def _is_good(key: VerifyKey, message: bytes, signature: bytes) -> bool:
    from nacl.exceptions import CryptoError
    from nacl.signing import VerifyKey as Ed25519

    if len(signature) != 64:
        return False
    try:
        Ed25519(key.public).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True


def _key_parts(text: str, what: str) -> tuple[str, bytes, bytes]:
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        blob = unbase64(encoded)
    except ValueError:
        blob = b""
    formed = re.fullmatch(r"[0-9a-f]{8}", key_id) and name and not _BAD_NAME.search(name)
    if not formed or len(blob) < 2:
        raise UsageError(f"not a {what}: NAME+KEYID+BASE64 is expected")
    if blob[:1] != ED25519 or len(blob) != 33:
        raise UsageError(f"the {what} of {name!a} is not Ed25519, the one kind known here")
    return name, bytes.fromhex(key_id), blob[1:]


def _check_name(name: str) -> None:
    if not name or _BAD_NAME.search(name) or len(os.fsencode(name)) > 200:
        raise UsageError(
            f"a key cannot be called {name!a}",
            todo="use something like example.com/bronze: no spaces, no plus, up to 200 bytes",
        )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
