"""Kronos: a weight-compatible implementation of the public model for candles, made for inference.

`load_kronos` and `Kronos` are resolved when they are asked for: importing this loads no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnomon.forecast.kronos.kronos import Kronos
    from gnomon.forecast.kronos.weights import load_kronos

__all__ = ["Kronos", "load_kronos"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{'weights' if name == 'load_kronos' else 'kronos'}")
    except ModuleNotFoundError as error:
        from gnomon.errors import Unavailable

        raise Unavailable(f"{error.name} is not installed", hint="pip install 'gnomon[kronos]'") from None
    return getattr(module, name)
