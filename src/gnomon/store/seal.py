"""Secrets at rest: sealed under one key, which is in the environment or in a file that its owner alone may read.

The venue must read a bot's secret to check a signature, so it cannot be hashed as a password is.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gnomon.errors import Invalid, Unavailable
from gnomon.store.private import private_text

FILE: Final = "secret.key"
_VERSION: Final = "1:"
_NONCE_BYTES: Final = 12
_SHORTEST: Final = 32


class Seal:
    """AES-256-GCM under SHA-256 of a key's text. `Invalid` for a text of less than 32 characters."""

    def __init__(self, key: str) -> None:
        if len(key) < _SHORTEST:
            raise Invalid(
                f"a secret key of {len(key)} characters",
                hint=f"GNOMON_SECRET_KEY: at least {_SHORTEST} characters, e.g. of `openssl rand -hex 32`",
            )
        self._cipher = AESGCM(hashlib.sha256(b"gnomon:seal:" + key.encode()).digest())

    def shut(self, secret: str, owner: str) -> str:
        """Sealed for one owner: under another's name it does not open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), owner.encode())
        return _VERSION + base64.b64encode(sealed).decode()

    def open(self, sealed: str, owner: str) -> str:
        """The secret. `Unavailable` where it was sealed under another key, or for another owner."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unavailable(
                "a bot's secret does not open with this GNOMON_SECRET_KEY",
                hint=f"set the one it was sealed under (or bring back {FILE} of GNOMON_HOME), or rotate the bot's key",
            ) from None


def seal_at(home: Path, key: str = "") -> Seal:
    """The seal of a given key, or of the file in the home, which is made where there is none."""
    return Seal(key or private_text(home / FILE))
