"""Outcome-based evaluation of doctors: one posterior for rates, ranks, flags and reliability.

Every public name is imported when it is first used, so that ``import outcomekpi`` costs nothing.
``public_names.py`` says where each lives; type checkers read the same from ``__init__.pyi``.
"""

from importlib import import_module
from typing import Any

from outcomekpi.public_names import HOME as _HOME

__all__ = sorted({"__version__", "datasets", "programs", *_HOME})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("outcomekpi")
    elif name == "datasets":
        value = import_module("outcomekpi.datasets")
    elif name == "programs":
        value = import_module("outcomekpi.programs")
    elif name in _HOME:
        value = getattr(import_module(f"outcomekpi.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
