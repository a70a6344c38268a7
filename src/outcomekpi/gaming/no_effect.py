"""What a rule pays for improvement when nothing truly improved: regression to the mean."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, ndtri, xlogy

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.declare.fields import Probability, Range
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.operating.settings import Setting
from outcomekpi.operating.simulated_operation import draw_results, draw_true_rates
from outcomekpi.tables.cases import Direction

__all__ = ["ChangeRule", "UnearnedRewards", "rewards_without_effect"]

Array = NDArray[np.float64]
Method = Literal["auto", "exact", "simulated"]
MOST_PAIRS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRule:
    """A bonus for a change from baseline: the last cycle better than the one before by so much.

    Attributes
    ----------
    by : smallest improvement that earns the bonus, events per case, or share of the baseline rate
        with ``relative``
    relative : whether ``by`` is a share of the baseline rate
    direction : whether a "higher" or a "lower" rate is better
    cycles : the baseline and the last one, always 2

    Examples
    --------
    >>> import numpy as np
    >>> import outcomekpi as ok
    >>> results = ok.CycleResults(events=np.array([[[10, 12], [10, 11]]]), trials=20)
    >>> ok.ChangeRule(by=0.1).decide(results)
    array([[ True, False]])
    """

    by: Probability
    relative: bool = False
    direction: Direction = "higher"
    cycles: Annotated[int, Range(low=2, high=2)] = 2

    def __post_init__(self) -> None:
        check_fields(self)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Return (replicate, unit), True where the last cycle is better by enough."""
        before, after = results.rates[..., -2], results.rates[..., -1]
        gain = after - before if self.direction == "higher" else before - after
        wanted = self.by * before if self.relative else self.by
        # differences of two ratios of counts that are equal in decimals are equal here
        return np.asarray((gain >= wanted - 1e-12) & (gain > 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnearnedRewards:
    """Awards of a rule to units whose true rates did not change.

    Attributes
    ----------
    rule, setting : what was tried, and where
    worst : share of the units that count as worst at baseline
    direction : whether a "higher" or a "lower" rate is better
    method : "exact" or "simulated"
    moments : one row per level and caseload: means of all and of the worst, with Monte Carlo
        errors (0 where exact)
    """

    rule: Rule
    setting: Setting
    worst: float
    direction: Direction
    method: Literal["exact", "simulated"]
    moments: pd.DataFrame

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per true level and caseload.

        Returns
        -------
        DataFrame with ``level``, ``caseload``; ``reliability`` of a cycle's rate; ``mean, lower,
        upper``, award per unit without any true change (interval: Monte Carlo error alone),
        ``mc_error``; ``rewarded``, share of the units with a positive award; ``worst_mean,
        worst_lower, worst_upper, worst_mc_error, worst_rewarded``, the same among the worst at
        baseline; ``worst_change``, their mean observed improvement, ``worst_expected``, the same
        in closed form; ``money`` and ``worst_money`` per unit; where another rule was named,
        ``beyond`` and ``worst_beyond``, award beyond that of the other rule.
        """
        check_level(level)
        z = float(ndtri((1 + level) / 2))
        frame = self.moments.copy()
        for prefix in ("", "worst_"):
            mean, error = frame[f"{prefix}mean"], frame[f"{prefix}mc_error"]
            at = list(frame.columns).index(f"{prefix}mean") + 1
            frame.insert(at, f"{prefix}lower", mean - z * error)
            frame.insert(at + 1, f"{prefix}upper", mean + z * error)
            frame[f"{prefix}money"] = mean * self.setting.amount
        frame.attrs.update(level=level, method=self.method)
        return frame

    def __repr__(self) -> str:
        row = self.moments.iloc[0]
        return (
            f"UnearnedRewards ({self.method}): without any true change, at level "
            f"{row['level']:g} with {row['caseload']:.0f} cases {row['rewarded']:.0%} of all units "
            f"and {row['worst_rewarded']:.0%} of the worst {self.worst:.0%} are rewarded "
            f"(mean award {row['mean']:.3g} and {row['worst_mean']:.3g})"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8), number=".3g", index=False)


def rewards_without_effect(
    rule: Rule,
    setting: Setting,
    *,
    worst: Probability = 0.25,
    direction: Direction | None = None,
    instead: Rule | None = None,
    method: Method = "auto",
) -> UnearnedRewards:
    """Awards that units earn for improvement though their true rates did not change.

    Parameters
    ----------
    rule : awards each unit for its two cycles, baseline first; any object with ``decide``, such
        as :class:`ChangeRule` or ``programs.VbpRule``
    setting : true levels, caseloads and ICC; two cycles and persistence 1 (no true change)
    worst : share of the units that count as worst at baseline
    direction : whether a "higher" or a "lower" rate is better; None asks the rule
    instead : a rule to compare with, such as the same one without improvement points
    method : "exact" enumerates all pairs of counts of one unit, "simulated" draws replicates,
        "auto" is exact for settings of one unit

    Raises
    ------
    SpecError
        A setting with a true change, a rule about the indicator as a whole, an unknown direction,
        or a setting that cannot be enumerated.

    Notes
    -----
    True rates are Beta(a, b) and constant. Exact: P(x1, x2) = C(n, x1) C(n, x2)
    B(a + x1 + x2, b + 2n - x1 - x2) / B(a, b). The worst share is filled from the worst baseline
    on, with part of the units at the last count. Simulated with several units: the worst of each
    replicate, ties broken at random. Closed form: the worst improve by (1 - R) (p - mean baseline
    of the worst), R = n / (n + a + b), as E(x2 / n | x1) is linear in x1.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> setting = ok.Setting(levels=(0.6,), caseloads=(25, 100), icc=0.05)
    >>> frame = ok.rewards_without_effect(ok.ChangeRule(by=0.1), setting).to_frame()
    >>> frame[["rewarded", "worst_rewarded"]].round(2).to_numpy().tolist()
    [[0.23, 0.44], [0.08, 0.15]]
    """
    check_arguments(rewards_without_effect, locals())
    better = _direction(rule, direction)
    _check_setting(setting)
    most = (max(setting.caseloads) + 1) ** 2
    exact = method == "exact" or (method == "auto" and setting.n_units == 1 and most <= MOST_PAIRS)
    if exact and (setting.n_units > 1 or most > MOST_PAIRS):
        raise SpecError(
            f"Only one unit with up to {int(MOST_PAIRS**0.5) - 1} cases can be enumerated; the "
            f"setting has {setting.n_units} with up to {max(setting.caseloads)}. "
            "Use method='simulated'."
        )
    rules = (rule,) if instead is None else (rule, instead)
    work = _exact if exact else _simulated
    rows = [
        work(rules, setting, level, n, worst, better)
        for level in setting.levels
        for n in setting.caseloads
    ]
    return UnearnedRewards(
        rule=rule,
        setting=setting,
        worst=worst,
        direction=better,
        method="exact" if exact else "simulated",
        moments=pd.DataFrame(rows),
    )


def _exact(
    rules: tuple[Rule, ...],
    setting: Setting,
    level: float,
    n: int,
    worst: float,
    direction: Direction,
) -> dict[str, float]:
    counts = np.arange(n + 1)
    joint = _pair_probabilities(level, n, setting.beta_shapes(level))
    first, second = np.meshgrid(counts, counts, indexing="ij")
    results = CycleResults(
        events=np.stack([first.ravel(), second.ravel()], axis=-1)[:, None, :], trials=np.array(n)
    )
    share = _fill(joint.sum(axis=1), worst, direction)
    everyone = joint.ravel()
    chosen = (joint * share[:, None]).ravel() / worst
    return _moments(rules, results, (everyone, chosen), setting, level, direction, simulated=False)


def _simulated(
    rules: tuple[Rule, ...],
    setting: Setting,
    level: float,
    n: int,
    worst: float,
    direction: Direction,
) -> dict[str, float]:
    rng = np.random.default_rng([setting.seed, int(np.float64(level).view(np.uint64)), n])
    shape = (setting.replicates, setting.n_units, 2)
    rates = draw_true_rates(rng, setting, level, setting.replicates, 2)
    results = draw_results(rng, rates, n, shape)
    baseline = results.events[..., 0]
    if setting.n_units == 1:
        share = _fill(
            np.bincount(baseline[:, 0], minlength=n + 1) / len(baseline), worst, direction
        )
        chosen = share[baseline]
    else:
        sign = 1 if direction == "higher" else -1
        place = (sign * baseline + rng.random(baseline.shape)).argsort(axis=1).argsort(axis=1)
        chosen = (place < max(1, round(worst * setting.n_units))).astype(np.float64)
    weights = (np.full(baseline.size, 1 / baseline.size), (chosen / chosen.sum()).ravel())
    return _moments(rules, results, weights, setting, level, direction, simulated=True)


def _moments(
    rules: tuple[Rule, ...],
    results: CycleResults,
    weights: tuple[Array, Array],
    setting: Setting,
    level: float,
    direction: Direction,
    *,
    simulated: bool,
) -> dict[str, float]:
    """Weighted means over (replicate, unit); Monte Carlo errors over replicates if simulated."""
    awards = [_awards(rule, results) for rule in rules]
    n = int(results.trials.flat[0])
    rates = results.rates
    sign = 1.0 if direction == "higher" else -1.0
    gain = (sign * (rates[..., 1] - rates[..., 0])).ravel()
    shapes = setting.beta_shapes(level)
    reliability = 0.0 if shapes is None else n / (n + sum(shapes))
    row: dict[str, float] = {"level": level, "caseload": n, "reliability": reliability}
    for prefix, weight in zip(("", "worst_"), weights, strict=True):
        award = awards[0].ravel()
        row[f"{prefix}mean"] = float(weight @ award)
        row[f"{prefix}mc_error"] = _mc_error(awards[0], weight) if simulated else 0.0
        row[f"{prefix}rewarded"] = float(weight @ (award > 0))
        if len(awards) > 1:
            row[f"{prefix}beyond"] = row[f"{prefix}mean"] - float(weight @ awards[1].ravel())
    baseline = float(weights[1] @ rates[..., 0].ravel())
    row["worst_change"] = float(weights[1] @ gain)
    row["worst_expected"] = sign * (1 - reliability) * (level - baseline)
    return row


def _mc_error(award: Array, weight: Array) -> float:
    """Monte Carlo error of a weighted mean; the replicates are independent."""
    weight = weight.reshape(award.shape)
    mean = float((weight * award).sum())
    parts = (weight * (award - mean)).sum(axis=1)
    return float(np.sqrt(parts.size / (parts.size - 1) * (parts**2).sum()))


def _awards(rule: Rule, results: CycleResults) -> Array:
    awards = apply_rule(rule, results)
    replicates, units = results.events.shape[:2]
    if awards.ndim == 1 and units > 1:
        raise SpecError(
            f"{type(rule).__name__} decides about the indicator as a whole. Rewards for "
            "improvement need a decision about each unit: (replicate, unit)."
        )
    return awards.reshape(replicates, units)


def _pair_probabilities(level: float, n: int, shapes: tuple[float, float] | None) -> Array:
    """P(x1, x2) for two cycles of n cases of a unit with a constant true rate, (n + 1, n + 1)."""
    x = np.arange(n + 1)
    ways = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    total = x[:, None] + x[None, :]
    log_ways = ways[:, None] + ways[None, :]
    if shapes is None:
        return np.asarray(np.exp(log_ways + xlogy(total, level) + xlogy(2 * n - total, 1 - level)))
    a, b = shapes
    return np.asarray(np.exp(log_ways + betaln(a + total, b + 2 * n - total) - betaln(a, b)))


def _fill(mass: Array, worst: float, direction: Direction) -> Array:
    """Share of the units at each baseline count that belong to the worst, filled from the worst."""
    ordered = mass if direction == "higher" else mass[::-1]
    before = np.cumsum(ordered) - ordered
    share = np.zeros(mass.size)
    np.divide(worst - before, ordered, out=share, where=ordered > 0)
    share = np.clip(share, 0.0, 1.0)
    return share if direction == "higher" else share[::-1]


def _direction(rule: Rule, direction: Direction | None) -> Direction:
    found = getattr(rule, "direction", None) if direction is None else direction
    if found is None:
        raise SpecError(
            f"{type(rule).__name__} does not say whether a higher or a lower rate is better. "
            "Pass direction='higher' or direction='lower'."
        )
    check_choice("direction", found, get_args(Direction))
    better: Direction = found
    return better


def _check_setting(setting: Setting) -> None:
    if setting.persistence != 1:
        raise SpecError(
            f"persistence={setting.persistence:g} lets true rates change between cycles. Awards "
            "without effect need Setting(persistence=1)."
        )
    if setting.n_cycles != 2:
        raise SpecError(
            f"Improvement compares a baseline and one cycle: use Setting(n_cycles=2); got "
            f"{setting.n_cycles}."
        )
