"""Keys of bots, and the ports that say whose a key is and which run it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from gnomon.serve.venue.call import Course
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.signing import VERIFIERS, Verify

LONGEST_KEY: Final = 128
MOST_PREPARED: Final = 4_096


@dataclass(frozen=True, slots=True)
class Key:
    """One API key of a bot. `kind` is `hmac` (then `secret_or_public` is the secret), `rsa` or `ed25519` (then it is
    the public key, PEM or base64). `permissions` are of TRADE, USER_DATA, USER_STREAM; `expires_ns` is wall time, None
    for never; `ip_allow` holds the addresses that may use it, all where it is empty."""

    api_key: str
    kind: str
    secret_or_public: str = field(repr=False)
    bot: str
    workspace: str
    permissions: frozenset[str] = frozenset(("TRADE", "USER_DATA", "USER_STREAM"))
    expires_ns: int | None = None
    ip_allow: tuple[str, ...] = ()
    session: str = ""  # that its bot is bound to

    def permits(self, security: str, wall_ns: int, address: str) -> bool:
        """Whether the key may be used for this kind of call, now, from there."""
        return (
            security in self.permissions
            and (self.expires_ns is None or wall_ns < self.expires_ns)
            and (not self.ip_allow or address in self.ip_allow)
        )


class KeyRing(Protocol):
    """Where keys are found. Asked at every request: an implementation keeps what it knows in memory."""

    def find(self, api_key: str) -> Key | None: ...


class GatedCourse(Course, Protocol):
    """A course with the door's own state beside it."""

    gate: Gate


class CourseFinder(Protocol):
    """Which run a request means: that of its key, that of a session's path or port, or the only live session."""

    def of_key(self, key: Key, lockstep: bool = False) -> GatedCourse | None:
        """The open run of the key's bot, or the last one of the session that it is bound to, which is over and can be
        asked; None for a bot that is bound to none, or disabled. With `lockstep` it is as it was: the bot comes to
        acknowledge, or has not come and is looked at. Without, it has come like any other client."""
        ...

    def of_session(self, session: str, workspace: str = "", address: str = "") -> GatedCourse | None:
        """The market of a live session, without an account, as an address sees it; None where there is no such session.
        Here and below: of `workspace` alone, that of a key, where one was shown."""
        ...

    def single(self, workspace: str = "", address: str = "") -> GatedCourse | None:
        """The market of the only live session; None where there is none or more than one."""
        ...

    def choices(self, workspace: str = "") -> str:
        """The live sessions as a comma list, for the text of a refusal. Without a workspace, those of the only one that
        there is: strangers are not told what others play."""
        ...


class Verifiers:
    """Prepared checks of signatures by key: what is costly is done once a key."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Key, Verify]] = {}

    def of(self, key: Key) -> Verify:
        """The check for this key as it stands: a key with another secret is prepared anew."""
        known = self._known.get(key.api_key)
        if known is not None and (known[0] is key or known[0] == key):
            return known[1]
        if len(self._known) >= MOST_PREPARED:
            self._known.clear()
        verify = VERIFIERS[key.kind](key.secret_or_public)
        self._known[key.api_key] = (key, verify)
        return verify


def is_key_text(text: str) -> bool:
    """Whether this can be an API key at all: letters, digits, `-` and `_`."""
    return 0 < len(text) <= LONGEST_KEY and text.isascii() and text.replace("-", "").replace("_", "").isalnum()
