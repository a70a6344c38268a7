"""The verb: from data and a design to the effect of a pilot."""

from time import perf_counter

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Seed
from outcomekpi.lineage.origins import record_provenance
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.findings import Design
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.roles import open_table

__all__ = ["compare_pilot"]


def compare_pilot(
    data: object,
    design: Design,
    *,
    program: Program | None = None,
    draws: Count = 4000,
    seed: Seed = 20261,
) -> PilotEffect:
    """Effect of a pilot program, worded as strongly as its design allows and no stronger.

    Parameters
    ----------
    data : DataFrame (pandas, or anything narwhals reads) of patients or of units and periods; or
        :class:`PublishedFigures`
    design : one of the designs, which names the columns and chooses the method
    program : what no table says: how units were chosen, what else changed, and so on
    draws : posterior, bootstrap or simulation draws, where the method has them
    seed : of everything random

    Raises
    ------
    CasesError
        The data do not fit the design; the message names the design that would.
    SpecError
        The design's options contradict each other, or the program was selected on its baseline
        and the design cannot correct for regression to the mean.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> effect = ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"))
    >>> effect.verdict()
    'These data show a change, for the better (risk difference 25 ... is not identified.'
    """
    check_arguments(compare_pilot, locals())
    from threadpoolctl import threadpool_limits

    if not callable(getattr(design, "estimate", None)) or not hasattr(design, "rung"):
        raise SpecError(
            f"design must be one of the pilot designs, such as BeforeAfter(...); got {design!r}."
        )
    program = Program() if program is None else program
    began = perf_counter()
    table = _open(data)
    with threadpool_limits(1, user_api="blas"):  # many small products: threads only cost time
        answer = design.estimate(
            table, program=program, draws=draws, rng=np.random.default_rng(seed)
        )
    recorded = table if isinstance(table, pd.DataFrame) else pd.DataFrame({"data": [repr(data)]})
    record = record_provenance(recorded, design, seed=seed, seconds=perf_counter() - began)
    return PilotEffect(design=design, program=program, answer=answer, provenance=record)


def _open(data: object) -> object:
    """Turn any table into a pandas one; published figures are no table and stay as they are."""
    if isinstance(data, pd.DataFrame) or hasattr(data, "columns"):
        return open_table(data)[0]
    return data
