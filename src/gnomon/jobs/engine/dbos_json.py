"""What the engine keeps, as JSON text: arguments, outcomes and errors. Nothing is ever pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dbos._serialization import Serializer

from gnomon.errors import GnomonError
from gnomon.jobs.engine.port import error_document


class JsonSerializer(Serializer):
    """Arguments, outcomes and errors as JSON text."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_plain)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - the base class spells it so
        return json.loads(serialized_data, object_hook=_revived)

    def name(self) -> str:
        return "gnomon_json"


class Failure(Exception):
    """An error that is not of our tree, as it was kept."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(str(document.get("message", "")))
        self.document = dict(document)


def _plain(value: Any) -> Any:
    if isinstance(value, Failure):
        return {"$error": value.document}
    if isinstance(value, BaseException):
        return {"$error": error_document(value)}
    raise TypeError(f"{type(value).__name__} is not JSON")


_KINDS: Final = {kind.code: kind for kind in GnomonError.__subclasses__()}


def _revived(found: dict[str, Any]) -> Any:
    if set(found) != {"$error"}:
        return found
    document = found["$error"]
    kind = _KINDS.get(document.get("error", ""))
    if kind is None:
        return Failure(document)
    return kind(document["message"], hint=document.get("hint", ""), detail=document.get("detail", {}))


def document_of(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return error.document if isinstance(error, Failure) else error_document(error)
