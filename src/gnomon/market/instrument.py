"""Instruments: a thing tradable somewhere, with its class, calendar, grids and names at the sources."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast, get_args

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid, NotFound, nearest
from gnomon.units import Grid

_T = TypeVar("_T")

AssetClass = Literal["crypto", "fx_commodity", "equity"]
ASSET_CLASSES: tuple[str, ...] = get_args(AssetClass)


@dataclass(frozen=True, slots=True)
class Split:
    """A share split: `numerator` new shares for `denominator` old ones, effective from an instant (UTC ns)."""

    effective_ns: int
    numerator: int
    denominator: int

    @classmethod
    def parse(cls, text: str) -> Split:
        """`2025-06-10 15:1`: fifteen new shares for one old, from that session on."""
        try:
            day, ratio = text.split()
            numerator, denominator = (int(part) for part in ratio.split(":"))
        except ValueError:
            raise Invalid(f"not a split: {text!r}", hint="write 'DATE NEW:OLD', e.g. '2025-06-10 15:1'") from None
        if numerator < 1 or denominator < 1:
            raise Invalid(f"not a split: {text!r}", hint="both sides of the ratio are positive whole numbers")
        return cls(parse_instant(day), numerator, denominator)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the instruments file. Identity is `venue:symbol`; the display symbol is unique in the file.

    `tick` and `lot` are the venue's grids for orders; a stored series may lie on a finer grid where history does.
    `stamp_zone` is the zone of the calendar stamps that forecasters see (minute, hour, weekday, day, month).
    """

    symbol: str
    venue: str
    asset_class: AssetClass
    calendar: str
    tick: Grid
    lot: Grid
    name: str = ""
    stamp_zone: str = "UTC"
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    central_banks: tuple[str, ...] = ()
    earnings_of: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    continuous: bool = False
    forecast: bool = True

    @property
    def id(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Instrument:
        """An instrument from a TOML or JSON row; `Invalid` names the symbol and the field at fault."""
        symbol = str(row.get("symbol", "")).upper()
        unknown = sorted(set(row) - _FIELDS)
        missing = sorted(name for name in _REQUIRED if row.get(name) in (None, ""))
        if unknown or missing:
            problem = f"unknown field {unknown[0]!r}" if unknown else f"field {missing[0]!r} is missing"
            raise Invalid(f"instrument {symbol or '?'}: {problem}", hint=f"fields: {', '.join(sorted(_FIELDS))}")
        if row["asset_class"] not in ASSET_CLASSES:
            raise Invalid(
                f"instrument {symbol}: asset_class {row['asset_class']!r}", hint=f"one of {', '.join(ASSET_CLASSES)}"
            )
        sources = row.get("sources", {})
        if not isinstance(sources, Mapping):
            raise Invalid(f"instrument {symbol}: sources {sources!r}", hint='e.g. { yahoo = ["SPY"] }')
        splits = (_read(symbol, "splits", Split.parse, text) for text in _names(row.get("splits", ())))
        return cls(
            symbol=symbol,
            venue=str(row["venue"]),
            asset_class=cast(AssetClass, row["asset_class"]),
            calendar=str(row["calendar"]),
            tick=_read(symbol, "tick", Grid.of, row["tick"]),
            lot=_read(symbol, "lot", Grid.of, row["lot"]),
            name=str(row.get("name", "")),
            stamp_zone=str(row.get("stamp_zone", "UTC")),
            sources={source: _names(names) for source, names in sources.items()},
            central_banks=_names(row.get("central_banks", ())),
            earnings_of=_names(row.get("earnings_of", ())),
            splits=tuple(sorted(splits, key=lambda split: split.effective_ns)),
            continuous=bool(row.get("continuous", False)),
            forecast=bool(row.get("forecast", True)),
        )

    def row(self) -> dict[str, Any]:
        """The JSON-ready row that `from_row` reads back to an equal instrument."""
        return {
            "symbol": self.symbol,
            "venue": self.venue,
            "asset_class": self.asset_class,
            "calendar": self.calendar,
            "tick": str(self.tick.step),
            "lot": str(self.lot.step),
            "name": self.name,
            "stamp_zone": self.stamp_zone,
            "sources": {source: list(names) for source, names in self.sources.items()},
            "central_banks": list(self.central_banks),
            "earnings_of": list(self.earnings_of),
            "splits": [f"{iso(s.effective_ns)} {s.numerator}:{s.denominator}" for s in self.splits],
            "continuous": self.continuous,
            "forecast": self.forecast,
        }


_REQUIRED = {"symbol", "venue", "asset_class", "calendar", "tick", "lot"}
_FIELDS = {*Instrument.__dataclass_fields__}


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _read(symbol: str, name: str, parse: Callable[[Any], _T], value: Any) -> _T:
    try:
        return parse(value)
    except Invalid as error:
        raise Invalid(f"instrument {symbol}: {name}: {error.message}", hint=error.hint, detail=error.detail) from None


class Instruments:
    """The instruments of a file, in its order, found by identity, display symbol or any source symbol.

    `met` are instruments known from imports alone. They come after those of the file; one whose display symbol is taken
    is found by its identity.
    """

    def __init__(self, rows: Iterable[Instrument], met: Iterable[Instrument] = ()) -> None:
        self._configured = self._rows = tuple(rows)
        self._by_name: dict[str, Instrument] = {}
        for one in self._rows:
            if one.symbol.upper() in self._by_name:
                raise Invalid(f"instrument {one.symbol} stands twice in the file", hint="display symbols are unique")
            self._by_name[one.symbol.upper()] = self._by_name[one.id.upper()] = one
        for one in self._rows:
            for names in one.sources.values():
                for name in names:
                    self._by_name.setdefault(name.upper(), one)
        for one in met:
            if one.id.upper() not in self._by_name:
                self._by_name[one.id.upper()] = one
                self._by_name.setdefault(one.symbol.upper(), one)
                self._rows += (one,)

    @classmethod
    def parse(cls, text: str) -> Instruments:
        """The instruments of a TOML text with `[[instrument]]` tables."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise Invalid(
                f"the instruments file is not TOML: {error}", hint="see `[[instrument]]` in the docs"
            ) from None
        rows = document.get("instrument")
        if not rows or not isinstance(rows, list):
            raise Invalid("the instruments file has no `[[instrument]]` table", hint="see `[[instrument]]` in the docs")
        return cls(Instrument.from_row(row) for row in rows)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name.upper() in self._by_name

    def find(self, name: str) -> Instrument:
        """The instrument of any of its names, case ignored; `NotFound` offers the nearest display symbols."""
        try:
            return self._by_name[name.upper()]
        except KeyError:
            close = nearest(name, (one.symbol for one in self._rows))
            hint = f"did you mean {', '.join(close)}?" if close else "`gnomon datasets` lists what is stored"
            raise NotFound(f"no instrument {name!r}", hint=hint, detail={"nearest": close}) from None

    def with_added(self, more: Iterable[Instrument]) -> Instruments:
        """These, and those of `more` whose identity is not here (an instrument met only by an import)."""
        return Instruments(self._configured, [*self._rows[len(self._configured) :], *more])
