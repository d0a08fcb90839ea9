"""Signatures, beside the example of the venue's documentation and the plain road of the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.serve.venue.signing import (
    VERIFIERS,
    ed25519_verifier,
    hmac_verifier,
    is_signed,
    is_signed_sorted,
    literal,
    rsa_verifier,
)

# the worked example of the venue's public documentation
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PAYLOAD = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_the_documented_example_is_signed() -> None:
    verify = hmac_verifier(SECRET)
    assert verify(PAYLOAD, SIGNATURE)
    assert verify(PAYLOAD, SIGNATURE.upper())
    assert verify(PAYLOAD, SIGNATURE)  # the prepared states are not used up
    assert not verify(PAYLOAD + b"0", SIGNATURE)
    assert not verify(PAYLOAD, SIGNATURE[:-1])


@pytest.mark.parametrize("odd", ["", "ü" * 64, "\x00", "=", "a" * 10_000, "\ud800"])
@pytest.mark.parametrize("kind", ["hmac", "rsa", "ed25519"])
def test_odd_signatures_are_wrong_and_raise_nothing(odd: str, kind: str) -> None:
    assert not VERIFIERS[kind](KEYS[kind])(PAYLOAD, odd)


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_prepared_states_sign_as_the_standard_library_does(secret: bytes, payload: bytes) -> None:
    verify = hmac_verifier(secret)
    assert verify(payload, hmac.new(secret, payload, hashlib.sha256).hexdigest())
    assert not verify(payload, hmac.new(secret + b"x", payload, hashlib.sha256).hexdigest())


RSA = generate_private_key(65_537, 2_048)
EDWARDS = Ed25519PrivateKey.generate()
RSA_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
EDWARDS_PEM = EDWARDS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
KEYS = {"hmac": SECRET, "rsa": RSA_PEM, "ed25519": EDWARDS_PEM}


def test_rsa_signatures_are_those_of_the_key() -> None:
    signature = base64.b64encode(RSA.sign(PAYLOAD, PKCS1v15(), SHA256())).decode()
    verify = rsa_verifier(RSA_PEM)
    assert verify(PAYLOAD, signature)
    assert not verify(PAYLOAD + b"0", signature)
    other = generate_private_key(65_537, 2_048).sign(PAYLOAD, PKCS1v15(), SHA256())
    assert not verify(PAYLOAD, base64.b64encode(other).decode())


@pytest.mark.parametrize("form", ["pem", "raw", "der"])
def test_ed25519_signatures_are_those_of_the_key(form: str) -> None:
    public = EDWARDS.public_key()
    keys = {
        "pem": EDWARDS_PEM,
        "raw": base64.b64encode(public.public_bytes_raw()).decode(),
        "der": base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
    }
    verify = ed25519_verifier(keys[form])
    signature = base64.b64encode(EDWARDS.sign(PAYLOAD)).decode()
    assert verify(PAYLOAD, signature)
    assert not verify(PAYLOAD + b"0", signature)


@pytest.mark.parametrize(
    ("kind", "text"), [("rsa", EDWARDS_PEM), ("ed25519", RSA_PEM), ("rsa", "no key"), ("ed25519", "AAAA")]
)
def test_what_is_no_key_of_its_kind_is_refused_at_once(kind: str, text: str) -> None:
    with pytest.raises(Invalid, match="key"):
        VERIFIERS[kind](text)


def _hex(payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def test_a_payload_signed_before_it_was_escaped_is_signed_too() -> None:
    verify = hmac_verifier(SECRET)
    sent = b"symbols=%5B%22BTCUSDT%22%2C%22BNBUSDT%22%5D&timestamp=1"
    assert is_signed(verify, sent, _hex(sent.decode()))
    assert is_signed(verify, sent, _hex('symbols=["BTCUSDT","BNBUSDT"]&timestamp=1'))
    assert not is_signed(verify, sent, _hex("symbols=BTCUSDT&timestamp=1"))


def test_parameters_of_the_socket_are_signed_sorted_by_name_raw_or_escaped() -> None:
    verify = hmac_verifier(SECRET)
    params = {"timestamp": "1", "symbol": "BTCUSDT", "apiKey": "k", "note": "a b/c", "signature": "later"}
    for payload in (
        "apiKey=k&note=a b/c&symbol=BTCUSDT&timestamp=1",
        "apiKey=k&note=a%20b%2Fc&symbol=BTCUSDT&timestamp=1",
        "apiKey=k&note=a+b%2Fc&symbol=BTCUSDT&timestamp=1",
    ):
        assert is_signed_sorted(verify, params, _hex(payload))
    assert not is_signed_sorted(verify, params, _hex("symbol=BTCUSDT&timestamp=1&apiKey=k&note=a b/c"))


def test_json_values_stand_in_a_payload_as_they_were_written() -> None:
    assert [literal(one) for one in (True, False, 12, "0.10", ["A", "B"], None)] == [
        "true",
        "false",
        "12",
        "0.10",
        '["A","B"]',
        "null",
    ]
