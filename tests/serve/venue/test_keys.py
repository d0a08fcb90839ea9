"""Keys: what they permit, and the checks prepared for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gnomon.serve.venue.keys import Key, Verifiers, is_key_text

KEY = Key("k" * 64, "hmac", "secret", "bot_1", "ws_1")


def test_a_key_permits_what_it_lists_until_it_expires_from_where_it_may() -> None:
    assert KEY.permits("TRADE", 5, "127.0.0.1")
    assert not replace(KEY, permissions=frozenset(("USER_DATA",))).permits("TRADE", 5, "127.0.0.1")
    assert replace(KEY, expires_ns=6).permits("TRADE", 5, "127.0.0.1")
    assert not replace(KEY, expires_ns=5).permits("TRADE", 5, "127.0.0.1")
    assert not replace(KEY, ip_allow=("10.0.0.1",)).permits("TRADE", 5, "127.0.0.1")


def test_a_key_does_not_show_its_secret() -> None:
    assert "secret'" not in repr(KEY)


def test_checks_are_prepared_once_and_anew_when_the_secret_changes() -> None:
    verifiers = Verifiers()
    first = verifiers.of(KEY)
    assert verifiers.of(KEY) is first
    assert verifiers.of(replace(KEY)) is first
    assert verifiers.of(replace(KEY, secret_or_public="other")) is not first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 64, True),
        ("a-b_c", True),
        ("", False),
        ("a b", False),
        ("ключ", False),
        ("a" * 129, False),
        ("a'", False),
    ],
)
def test_odd_characters_make_no_key(text: str, expected: bool) -> None:
    assert is_key_text(text) is expected
