"""What a client sent: parameters of query and form body, and the exact bytes that it signed.

The query wins over the body. Nothing is decoded and encoded again: clients differ in escaping and in order.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

import orjson

Form = tuple[dict[str, str], bool]
"""Parameters as decoded texts, and whether a name stood twice in one part."""


def form(query: bytes, body: bytes = b"") -> Form:
    """The parameters of a request. Bytes that are no UTF-8 become replacement characters, which no check lets pass."""
    if not body:
        return _part(query)
    if not query:
        return _part(body)
    sent, is_twice = _part(body)
    above, above_twice = _part(query)
    sent.update(above)
    return sent, is_twice or above_twice


def _part(raw: bytes) -> Form:
    """Where nothing is escaped, the text is JSON but for its quotes, and orjson splits it at half the cost of `split`;
    it refuses what is odd, and that goes the long way."""
    if b"%" not in raw and b"+" not in raw and b'"' not in raw and b"\\" not in raw:
        try:
            found = orjson.loads(b'{"' + raw.replace(b"&", b'","').replace(b"=", b'":"') + b'"}')
        except orjson.JSONDecodeError:
            return split_part(raw)
        if len(found) == raw.count(b"&") + 1 and "" not in found:
            return found, False
    return split_part(raw)


def split_part(raw: bytes) -> Form:
    """The long way: pair by pair."""
    if not raw:
        return {}, False
    pairs = raw.decode("utf-8", "replace").split("&")
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        found[unquote_plus(name)] = unquote_plus(value)
    is_twice = len(found) != len(pairs) and _is_twice(pairs)
    found.pop("", None)
    return found, is_twice


def _is_twice(pairs: list[str]) -> bool:
    names = [pair.partition("=")[0] for pair in pairs if pair]
    return len(set(names)) != len(names)


def signed_payload(query: bytes, body: bytes) -> bytes:
    """What the client signed: the query followed directly by the body, without the pair of the signature."""
    if not body:
        return without_signature(query)
    if not query:
        return without_signature(body)
    return without_signature(query) + without_signature(body)


def without_signature(raw: bytes) -> bytes:
    """A query or a body without its pair `signature=…`, whatever its place, and without the `&` that it brought."""
    at = raw.rfind(b"&signature=")
    if at >= 0:
        end = raw.find(b"&", at + 1)
        return raw[:at] if end < 0 else raw[:at] + raw[end:]
    if raw.startswith(b"signature="):
        end = raw.find(b"&")
        return b"" if end < 0 else raw[end + 1 :]
    return raw  # the end of another name: `mysignature=`
