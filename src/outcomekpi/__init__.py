"""Outcome-based evaluation of doctors: one posterior for rates, ranks, flags and reliability.

Every public name is imported when it is first used, so that ``import outcomekpi`` costs nothing.
``public_names.py`` says where each lives; type checkers read the same from ``__init__.pyi``.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from outcomekpi.public_names import HOME as _HOME

__all__ = sorted({"__version__", "datasets", "programs", *_HOME})


class _Package(ModuleType):
    """Keeps ``outcomekpi.report`` the verb.

    The import system binds a room to its parent when it is first imported, and would put the
    room ``report`` where the public function of that name belongs.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "report" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("outcomekpi")
    elif name == "datasets":
        value = import_module("outcomekpi.datasets")
    elif name == "programs":
        value = import_module("outcomekpi.thresholds.programs")
    elif name in _HOME:
        value = getattr(import_module(f"outcomekpi.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
