"""The instruments file: the shipped one, or the one that `GNOMON_INSTRUMENTS` names."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from gnomon.errors import Invalid, NotFound
from gnomon.market.instrument import Instruments


@cache
def shipped_instruments() -> Instruments:
    """The 23 instruments of the shipped file, and the leaders DXY and VIX that are data only."""
    return Instruments.parse(resources.files("gnomon.market").joinpath("instruments.toml").read_text("utf-8"))


def load_instruments(path: Path) -> Instruments:
    """The instruments of a file. Raises `NotFound` without the file and `Invalid` where it breaks a rule."""
    try:
        return Instruments.parse(path.expanduser().read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise NotFound(
            f"cannot read the instruments file {str(path)!r}: {error.strerror}",
            hint="set GNOMON_INSTRUMENTS to a TOML file, or unset it for the shipped instruments",
        ) from None
    except UnicodeDecodeError:
        raise Invalid(f"the instruments file {str(path)!r} is not UTF-8 text", hint="save it as UTF-8") from None
    except Invalid as error:
        raise Invalid(f"{path.name}: {error.message}", hint=error.hint, detail=error.detail) from None
