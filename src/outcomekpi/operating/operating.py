"""Operating characteristics: how often a rule fires, how often wrongly, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule, rule_cycles
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.operating.exact_operation import expected_scores, why_not_exact
from outcomekpi.operating.scores import MOMENTS, ROUNDING, quantity_parts
from outcomekpi.operating.settings import Setting
from outcomekpi.operating.simulated_operation import simulate_cells

__all__ = [
    "OperatingCharacteristics",
    "OperatingMethod",
    "add_family_wise",
    "estimate_moments",
    "operating_characteristics",
    "pool_levels",
]

OperatingMethod = Literal["auto", "exact", "simulated"]

COLUMNS = (
    "deserved", "fires", "fires_up", "fires_down", "false_fires", "missed", "family_wise",
    "award", "overpaid", "withheld", "misallocated", "fires_within", "time_to_fire",
)  # fmt: skip
OF_DOCTORS = ("deserving", "sensitivity", "specificity", "ppv", "npv", "misclassified")
BY_CASELOAD = ("fires", "false_fires", "missed", "misallocated")


# From the moments of simulated or exact decisions to tables of probabilities and money
Array = NDArray[np.float64]

NOT_PROBABILITIES = frozenset(
    {"award", "deserved", "misallocated", "overpaid", "time_to_fire", "withheld"}
)


def estimate_moments(moments: pd.DataFrame, *, exact: bool, level: float) -> pd.DataFrame:
    """Estimate, Monte Carlo error and interval of every quantity.

    Parameters
    ----------
    moments : columns :data:`~outcomekpi.operating.scores.MOMENTS`, one row per
        quantity (last level of the index) and setting
    exact : whether the moments are expectations, without Monte Carlo error
    level : probability of the interval

    Returns
    -------
    DataFrame with the same index: ``mean, mc_error, lower, upper``

    Notes
    -----
    For a ratio q of the means of u and v, the error is sqrt(var(u - q v)) / mean(v). Intervals of
    probabilities are Wilson's with the number of independent trials that has this error,
    q (1 - q) / error^2; where every replicate says the same, with the number of replicates. Those
    of awards, money and times are q -/+ z error.
    """
    check_level(level)
    above, below, var_above, covariance, var_below, base = (
        moments[name].to_numpy() for name in MOMENTS
    )
    empty = below <= ROUNDING
    safe = np.where(empty, 1.0, below)
    mean = np.where(empty, np.nan, above / safe)
    ratio = np.where(empty, 0.0, mean)
    variance = var_above - 2 * ratio * covariance + ratio**2 * var_below
    error = np.where(empty, np.nan, np.sqrt(np.maximum(variance, 0)) / safe)
    names = moments.index.get_level_values("quantity")
    chance = ~names.isin(NOT_PROBABILITIES)
    mean = np.where(chance, np.clip(mean, 0, 1), mean)
    if exact:
        lower = upper = mean
        error = np.where(empty, np.nan, 0.0)
    else:
        z = float(ndtri((1 + level) / 2))
        low, high = _wilson(mean, error, base, z)
        lower = np.where(chance, low, mean - z * error)
        upper = np.where(chance, high, mean + z * error)
    return pd.DataFrame(
        {"mean": mean, "mc_error": error, "lower": lower, "upper": upper}, index=moments.index
    )


def add_family_wise(estimates: pd.DataFrame, n_indicators: int) -> pd.DataFrame:
    """Turn ``any`` into the probability that at least one of ``n_indicators`` fires.

    Parameters
    ----------
    estimates : columns ``quantity, mean, mc_error, lower, upper``

    Notes
    -----
    1 - (1 - p)^m: the indicators are taken to be independent and at the same level.
    """
    names = estimates["quantity"].to_numpy()
    mean, error, lower, upper = (
        estimates[name].to_numpy() for name in ("mean", "mc_error", "lower", "upper")
    )
    is_any = names == "any"
    m = n_indicators
    slope = np.where(is_any, m * (1 - mean) ** (m - 1), 1.0)
    return estimates.assign(
        quantity=np.where(is_any, "family_wise", names),
        mean=np.where(is_any, 1 - (1 - mean) ** m, mean),
        mc_error=slope * error,
        lower=np.where(is_any, 1 - (1 - lower) ** m, lower),
        upper=np.where(is_any, 1 - (1 - upper) ** m, upper),
    )


def pool_levels(moments: pd.DataFrame) -> pd.DataFrame:
    """Moments by caseload, every level with the same weight."""
    pooled = moments.groupby(["caseload", "quantity"], sort=False).sum()
    n_levels = moments.index.get_level_values("level").nunique()
    for name, power in zip(MOMENTS, (1, 1, 2, 2, 2, 0), strict=True):
        pooled[name] = pooled[name] / n_levels**power
    return pooled


def _wilson(mean: Array, error: Array, base: Array, z: float) -> tuple[Array, Array]:
    settled = (mean <= ROUNDING) | (mean >= 1 - ROUNDING)
    with np.errstate(divide="ignore", invalid="ignore"):
        trials = np.where(settled, base, mean * (1 - mean) / error**2)
        center = (mean + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(mean * (1 - mean) / trials + (z / trials) ** 2 / 4)
    return np.maximum(center - half, 0.0), np.minimum(center + half, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatingCharacteristics:
    """What a rule does by chance in a setting, for each true level and caseload.

    Attributes
    ----------
    rule, setting : as tried
    method : "exact" or "simulated"
    reason : why it was not exact, in words; empty where it is
    about : "indicator" or "doctor", what the rule decides about
    moments : DataFrame indexed by level, caseload and quantity: mean numerator and denominator,
        their (co)variances between replicates, replicates with a denominator
    first_fires : DataFrame indexed by level and caseload, one column per cycle: probability that
        the first firing is in that cycle; None without ``setting.horizon``
    """

    rule: Rule
    setting: Setting
    method: Literal["exact", "simulated"]
    reason: str
    about: Literal["indicator", "doctor"]
    moments: pd.DataFrame
    first_fires: pd.DataFrame | None

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per true level and caseload.

        Returns
        -------
        DataFrame with ``level, caseload`` and

        ``deserved``
            mean award deserved: what the true rates call for;
        ``fires, mc_error, lower, upper``
            probability that something is decided, its Monte Carlo standard error (0 if exact)
            and interval;
        ``fires_up, fires_down``
            the same for positive and for negative decisions;
        ``false_fires``
            probability of firing where nothing is deserved, ``missed`` that of not deciding
            rightly where something is; missing where there is nothing of the kind;
        ``family_wise``
            probability that any of ``n_indicators`` independent indicators at this level fires
            (for anyone);
        ``award``
            mean award; ``overpaid, withheld, misallocated``: money per replicate, over all
            units, above and below what is deserved, and their sum;
        ``fires_within, time_to_fire``
            probability of firing within the horizon, and mean cycle of the first firing where it
            does; missing without a horizon;
        ``deserving, sensitivity, specificity, ppv, npv, misclassified``
            for rules that decide about doctors: share who deserve something, and the shares of
            right decisions among these, among the others, among decisions and non-decisions.
        """
        estimates = self.quantities_frame(level=level)
        table = estimates.pivot(index=["level", "caseload"], columns="quantity", values="mean")
        wanted = [*COLUMNS, *(OF_DOCTORS if self.about == "doctor" else ())]
        table = table.reindex(columns=wanted)
        fires = estimates[estimates["quantity"] == "fires"].set_index(["level", "caseload"])
        after = list(table.columns).index("fires") + 1
        for place, name in enumerate(("mc_error", "lower", "upper"), start=after):
            table.insert(place, name, fires[name])
        order = pd.MultiIndex.from_product([self.setting.levels, self.setting.caseloads])
        table = table.loc[order].rename_axis(index=["level", "caseload"]).reset_index()
        table.columns.name = None
        table.attrs.update(level=level, unit="probability", method=self.method)
        return table

    def quantities_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Every quantity of :meth:`to_frame` with its own Monte Carlo error, one row each.

        Returns
        -------
        DataFrame: ``level, caseload, quantity, mean, mc_error, lower, upper``
        """
        estimates = estimate_moments(self.moments, exact=self.method == "exact", level=level)
        frame = add_family_wise(estimates.reset_index(), self.setting.n_indicators)
        frame.attrs.update(level=level, method=self.method)
        return frame

    def caseload_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per caseload: false firings and misses, all levels with the same weight.

        Returns
        -------
        DataFrame indexed by ``caseload``: ``fires, false_fires, missed, misallocated`` (and for
        rules about doctors ``sensitivity, specificity, ppv, npv, misclassified``), each with
        ``_mc_error, _lower, _upper``
        """
        estimates = estimate_moments(
            pool_levels(self.moments), exact=self.method == "exact", level=level
        )
        names = [*BY_CASELOAD, *(OF_DOCTORS[1:] if self.about == "doctor" else ())]
        columns = {}
        for name in names:
            rows = estimates.xs(name, level="quantity")
            columns[name] = rows["mean"]
            for part in ("mc_error", "lower", "upper"):
                columns[f"{name}_{part}"] = rows[part]
        frame = pd.DataFrame(columns).loc[list(self.setting.caseloads)]
        frame.attrs.update(level=level, method=self.method)
        return frame

    def time_frame(self) -> pd.DataFrame:
        """One row per level, caseload and cycle: when the rule first fires.

        Returns
        -------
        DataFrame: ``level, caseload, cycle, probability`` of the first firing in that cycle,
        ``by_then`` of at least one firing until then

        Raises
        ------
        SpecError
            The setting has no horizon.
        """
        if self.first_fires is None:
            raise SpecError("The time to fire needs a horizon: Setting(horizon=10, ...).")
        chances = self.first_fires
        frame = chances.index.repeat(chances.shape[1]).to_frame(index=False)
        frame["cycle"] = np.tile(chances.columns, len(chances))
        frame["probability"] = chances.to_numpy().ravel()
        frame["by_then"] = chances.cumsum(axis=1).to_numpy().ravel()
        return frame

    def __repr__(self) -> str:
        frame = self.to_frame()
        how = "exact" if self.method == "exact" else f"{self.setting.replicates} replicates"
        parts = [f"fires with probability {_range(frame['fires'])}"]
        for name, words in (("false_fires", "falsely"), ("missed", "misses")):
            if frame[name].notna().any():
                parts.append(f"{words} {_range(frame[name])}")
        return (
            f"OperatingCharacteristics of {type(self.rule).__name__} ({how}; {self.setting}): "
            + ", ".join(parts)
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8), index=False)


def operating_characteristics(
    rule: Rule, setting: Setting, *, method: OperatingMethod = "auto"
) -> OperatingCharacteristics:
    """Work out how often a rule fires at each true level, how often wrongly, and what that costs.

    Parameters
    ----------
    rule : any object with ``decide``, see :class:`~outcomekpi.Rule`
    setting : true levels, caseloads, units and what they have in common
    method : "exact" enumerates every table of counts of one unit, "simulated" draws replicates,
        "auto" is exact where it can be

    Raises
    ------
    SpecError
        A rule that cannot be used or can never fire in the setting, or a setting that cannot be
        enumerated (method "exact").

    Notes
    -----
    What a decision about an indicator should be follows from the true level; what one about a
    doctor should be, from his own true rate, averaged over the cycles that the rule looks at. It
    is +1 beyond ``setting.upper`` and -1 beyond ``setting.lower`` where these are given (for a
    rule with ``direction`` "lower": the other way round), and otherwise what the rule itself
    (``rule.with_certainty``, where it has that) decides about endless caseloads at the true rates.
    The family-wise probability takes indicators to be independent.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> rule = ok.ReviewRule(reading="raw_rate", upper=0.90, lower=0.60)
    >>> setting = ok.Setting(levels=(0.85, 0.95), caseloads=(20, 100))
    >>> ok.operating_characteristics(rule, setting).to_frame()["fires"].round(3).tolist()
    [0.031, 0.003, 0.541, 0.944]
    """
    check_arguments(operating_characteristics, locals())
    per_unit = _decides_about_units(rule, setting)
    reason = "" if method == "simulated" else why_not_exact(rule, setting, per_unit=per_unit) or ""
    if method == "exact" and reason:
        raise SpecError(f"There is no exact answer here: {reason}. Use method='simulated'.")
    exact = method != "simulated" and not reason
    moments, first = (_exact if exact else _simulated)(rule, setting, per_unit=per_unit)
    return OperatingCharacteristics(
        rule=rule,
        setting=setting,
        method="exact" if exact else "simulated",
        reason="simulation was asked for" if method == "simulated" else reason,
        about="doctor" if per_unit else "indicator",
        moments=moments,
        first_fires=first,
    )


def _decides_about_units(rule: Rule, setting: Setting) -> bool:
    """Try the rule on two made-up replicates, so that a fault shows before the long work."""
    n = setting.caseloads[0]
    events = np.full((2, setting.n_units, setting.n_cycles), n // 2)
    events[1] = n
    decided = apply_rule(rule, CycleResults(events=events, trials=np.array(n)))
    cycles = rule_cycles(rule)
    if cycles is not None and cycles > setting.n_cycles:
        raise SpecError(
            f"{type(rule).__name__} looks at {cycles} cycles, but the setting has "
            f"{setting.n_cycles}: it can never fire. Use Setting(n_cycles={cycles}, ...)."
        )
    return decided.ndim == 2


def _exact(
    rule: Rule, setting: Setting, *, per_unit: bool
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    found = {n: expected_scores(rule, setting, n, per_unit=per_unit) for n in setting.caseloads}
    parts = {n: quantity_parts(scores, first) for n, (scores, first) in found.items()}
    rows, firsts = [], {}
    for row, level in enumerate(setting.levels):
        for caseload in setting.caseloads:
            for name, (above, below) in parts[caseload].items():
                rows.append((level, caseload, name, above[row], below[row], 0, 0, 0, np.inf))
            first = found[caseload][1]
            if first is not None:
                firsts[level, caseload] = first[row]
    return _moments(rows), _first_fires(firsts)


def _simulated(
    rule: Rule, setting: Setting, *, per_unit: bool
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    cells = simulate_cells(rule, setting, per_unit=per_unit)
    rows = [
        (level, caseload, name, *moments)
        for (level, caseload), cell in cells.items()
        for name, moments in cell.moments.items()
    ]
    firsts = {place: cell.first for place, cell in cells.items() if cell.first is not None}
    return _moments(rows), _first_fires(firsts)


def _moments(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["level", "caseload", "quantity", *MOMENTS])
    return frame.set_index(["level", "caseload", "quantity"])


def _first_fires(firsts: dict[tuple[float, int], np.ndarray]) -> pd.DataFrame | None:
    if not firsts:
        return None
    index = pd.MultiIndex.from_tuples(list(firsts), names=["level", "caseload"])
    array = np.stack(list(firsts.values()))
    cycles = pd.RangeIndex(1, array.shape[1] + 1, name="cycle")
    return pd.DataFrame(array, index=index, columns=cycles)


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"
