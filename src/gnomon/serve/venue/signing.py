"""Signatures of requests: HMAC-SHA256, RSA (PKCS#1 v1.5 over SHA-256) and Ed25519, over the bytes as they came."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from gnomon.errors import Invalid

Verify = Callable[[bytes, str], bool]
"""Whether a signature, as text, is that of the payload."""

BLOCK_BYTES: Final = 64  # of SHA-256
ED25519_KEY_BYTES: Final = 32


def hmac_verifier(secret: str | bytes) -> Verify:
    """HMAC-SHA256, hex in either case, compared in constant time. RFC 2104, the two keyed states prepared: a copy of a
    state costs half of what a new HMAC object does."""
    key = secret.encode() if isinstance(secret, str) else secret
    padded = (key if len(key) <= BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in padded))
    outer = hashlib.sha256(bytes(one ^ 0x5C for one in padded))
    same = hmac.compare_digest

    def verify(payload: bytes, signature: str) -> bool:
        within = inner.copy()
        within.update(payload)
        whole = outer.copy()
        whole.update(within.digest())
        return signature.isascii() and same(whole.hexdigest(), signature.lower())

    return verify


def rsa_verifier(public: str | bytes) -> Verify:
    """RSA, PKCS#1 v1.5 over SHA-256, base64. `Invalid` for what is no such public key."""
    key = public_key(public)
    if not isinstance(key, RSAPublicKey):
        raise Invalid("the public key is not an RSA key", hint="upload the PEM of the public half")

    def verify(payload: bytes, signature: str) -> bool:
        try:
            key.verify(base64.b64decode(signature, validate=True), payload, PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    return verify


def ed25519_verifier(public: str | bytes) -> Verify:
    """Pure Ed25519, base64. `Invalid` for what is no such public key."""
    key = public_key(public)
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid("the public key is not an Ed25519 key", hint="upload the PEM of the public half")

    def verify(payload: bytes, signature: str) -> bool:
        try:
            key.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    return verify


def public_key(text: str | bytes) -> Any:
    """A public key of PEM, of base64 DER, or of the 32 raw bytes of Ed25519 in base64. `Invalid` otherwise."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        if b"-----BEGIN" in raw:
            return load_pem_public_key(raw)
        der = base64.b64decode(raw, validate=True)
        return Ed25519PublicKey.from_public_bytes(der) if len(der) == ED25519_KEY_BYTES else load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid(f"not a public key: {error}", hint="PEM text (SubjectPublicKeyInfo) or base64") from None


VERIFIERS: Final[Mapping[str, Callable[[str | bytes], Verify]]] = {
    "hmac": hmac_verifier,
    "rsa": rsa_verifier,
    "ed25519": ed25519_verifier,
}


def is_signed(verify: Verify, payload: bytes, signature: str) -> bool:
    """Whether the payload was signed: as it came, or decoded, as some clients sign before they escape. A signature in
    base64 that was sent without escapes has spaces for plus signs."""
    signature = signature.replace(" ", "+")
    if verify(payload, signature):
        return True
    return b"%" in payload and verify(unquote_to_bytes(payload), signature)


def is_signed_sorted(verify: Verify, params: Mapping[str, str], signature: str) -> bool:
    """Whether parameters of the WebSocket API were signed: sorted by name, raw, or else percent-encoded."""
    pairs = sorted((name, value) for name, value in params.items() if name != "signature")
    raw = "&".join([f"{name}={value}" for name, value in pairs])
    if verify(raw.encode(), signature):
        return True
    escaped = "&".join([f"{name}={quote(value, safe='')}" for name, value in pairs])
    if escaped != raw and verify(escaped.encode(), signature):
        return True
    plus = escaped.replace("%20", "+")
    return plus != escaped and verify(plus.encode(), signature)


def literal(value: Any) -> str:
    """A JSON value as the text that stands for it in a payload and in a query: numbers as written (they come as texts
    from `literals`), arrays as compact JSON."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    return orjson.dumps(value).decode()
