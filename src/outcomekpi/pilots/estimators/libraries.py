"""How diff-diff and pyfixest are imported, and what becomes of their warnings and errors."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import numpy as np

from outcomekpi.declare.errors import EngineError, OutcomeKPIError, SpecError

__all__ = ["heard", "load_library"]

ADVICE = ("Consider ", "See ")


def load_library(name: str) -> ModuleType:
    """Import diff-diff or pyfixest, or say how to get it.

    Raises
    ------
    SpecError
        The library is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SpecError(
            f"Difference in differences needs the library {name.replace('_', '-')}, which is not "
            "installed. Install it with: pip install 'outcomekpi[did]'"
        ) from error


@contextmanager
def heard(notes: list[str]) -> Iterator[None]:
    """Keep what a library warns of as notes, and turn its errors into ours.

    Raises
    ------
    EngineError
        The library could not estimate; quotes its reason.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except OutcomeKPIError:
            raise
        except (ValueError, KeyError, RuntimeError, np.linalg.LinAlgError) as error:
            reason = " ".join(str(error).split())
            raise EngineError(
                f"The effect cannot be estimated from these data: {reason}"
            ) from error
    for one in caught:
        if not issubclass(one.category, DeprecationWarning | FutureWarning):
            # advice names options of the library, which are not ours
            said = " ".join(str(one.message).split()).split(". ")
            text = ". ".join(part for part in said if not part.startswith(ADVICE)).rstrip(".") + "."
            if text not in notes:
                notes.append(text)
