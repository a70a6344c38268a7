"""What leaves the house, and what stays: folders of a run that withholds small counts."""

from dataclasses import dataclass
from pathlib import Path

from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.pages.suppression import check_suppression

__all__ = ["Publishing", "find_publishing", "refuse_leftovers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How results are to be published.

    Attributes
    ----------
    below : counts below this are withheld; None withholds nothing
    private : folder of what must not leave the house; None where everything is in one folder
    """

    below: int | None = None
    private: Path | None = None


def find_publishing(below: int | None, private: Path | None, *, out: Path) -> Publishing:
    """Settle what is withheld and where the rest goes.

    Parameters
    ----------
    below, private : as typed
    out : folder of the results

    Raises
    ------
    SpecError
        A private folder where nothing is withheld, or one that is, holds, or lies in the folder
        that leaves the house.
    """
    if below is None:
        if private is not None:
            raise SpecError(
                "--private-dir is the folder of what stays in the house when --suppress-below "
                "withholds counts; without it everything goes to --out. Add --suppress-below N, "
                "or leave out --private-dir."
            )
        return Publishing()
    check_suppression(below)
    if private is None:
        private = out.with_name(f"{out.absolute().name}-private")
    inner, outer = private.resolve(), out.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise SpecError(
            f"--private-dir {str(private)!r} must lie apart from --out {str(out)!r}: what is in "
            "the one leaves the house, what is in the other stays."
        )
    return Publishing(below=below, private=private)


def refuse_leftovers(staging: Path, out: Path) -> None:
    """Refuse to publish into a folder that holds files of another run, such as its fit.

    Parameters
    ----------
    staging : folder with everything that this run writes
    out : folder that it will replace, or whose files it will replace

    Raises
    ------
    StorageError
        A file in ``out`` would not be replaced.
    """
    if not out.exists():
        return
    new = {path.relative_to(staging) for path in staging.rglob("*")}
    old = sorted(
        path.relative_to(out)
        for path in out.rglob("*")
        if path.is_file() and path.relative_to(out) not in new
    )
    if old:
        raise StorageError(
            f"The folder {str(out)!r} holds {len(old):,} "
            f"{'file' if len(old) == 1 else 'files'} of another run, the first "
            f"{str(old[0])!r}, which may show what --suppress-below withholds. Choose an empty "
            "folder with --out, or remove it."
        )
