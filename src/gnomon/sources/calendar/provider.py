"""A provider of the economic calendar from a table of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, nearest
from gnomon.sources.calendar.http import FIELDS, Provider
from gnomon.sources.calendar.rows import Reading
from gnomon.sources.calendar.statements import Declared

_OWN: Final = tuple(one.name for one in fields(Provider) if one.name not in ("reading", "declared"))
NAMES: Final = (*_OWN, "zone", "titles", "listed_ahead", "on_time")


def provider_of(table: Mapping[str, Any], base_url: str = "") -> Provider:
    """The provider that a table describes; `base_url` replaces its address. `Invalid` for a name that is none.

    Names are those of `Provider`, and `zone`, `titles`, `listed_ahead`, `on_time` as a file declares them; `fields`
    names only what differs from the usual.
    """
    unknown = next((name for name in table if name not in NAMES), "")
    if unknown:
        close = nearest(unknown, NAMES)
        hint = f"did you mean {', '.join(close)}?" if close else f"names: {', '.join(NAMES)}"
        raise Invalid(f"calendar provider: no setting {unknown!r}", hint=hint)
    given = {name: table[name] for name in _OWN if name in table} | ({"base_url": base_url} if base_url else {})
    lacking = next((name for name in ("base_url", "path") if name not in given), "")
    if lacking:
        raise Invalid(f"calendar provider: no {lacking}", hint="set calendar.base_url and calendar.path")
    ahead = table.get("listed_ahead")
    return Provider(
        **{"name": "calendar"} | given | {"fields": {**FIELDS, **given.get("fields", {})}},
        reading=Reading(str(table.get("zone", "UTC")), table.get("titles", {})),
        declared=Declared(
            None if ahead is None else Timeframe.parse(str(ahead)).nominal_ns, bool(table.get("on_time", False))
        ),
    )
