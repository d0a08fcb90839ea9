"""Refusals on the wire: a code, the text that clients match on, and the status of HTTP."""

from __future__ import annotations

from typing import Any


class VenueRefusal(Exception):
    """A request that came to nothing, in the venue's own words (`specs` of the wire, section 2.3)."""

    def __init__(self, code: int, msg: str, status: int = 400, data: Any = None, retry_after_s: int = 0) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status
        self.data = data
        self.retry_after_s = retry_after_s

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"code": self.code, "msg": self.msg}
        if self.data is not None:
            found["data"] = self.data
        return found
