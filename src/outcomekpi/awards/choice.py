"""Where to put the bar of certainty: by losses, by budget, by false discoveries, by PPV."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.awards.awards import AbsoluteRule, PercentileRule, PosteriorRule
from outcomekpi.awards.deserved_awards import (
    Side,
    award_draws,
    awarded_direction,
    require_truth,
)
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import NotNegative, Positive, Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval, summarize_draws
from outcomekpi.model.spec import check_rate
from outcomekpi.profiling.classification import FlagRule, discoveries
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["ChoiceBy", "ThresholdChoice", "choose_threshold"]

Array = NDArray[np.float64]
Chosen = NDArray[np.bool_]
ChoiceBy = Literal["losses", "budget", "fdr", "ppv"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdChoice:
    """The doctors that are awarded by each way to choose, and what each choice costs.

    Attributes
    ----------
    rates : standardized rates that were judged
    by : the way that was asked for: "losses", "budget", "fdr" or "ppv"
    goals : way -> what was wanted, of every way whose numbers were given
    truth : who deserves the award, in words
    bar : rate beyond which it is deserved; None where it is a share of the best doctors
    side : "better", an award for good doctors; "worse", a flag for bad ones
    p_deserved : (doctor,), posterior probability of deserving it
    deserved : (doctor, sample), True where he deserves it in a draw
    awarded : (doctor, way), True where he is awarded
    losses : loss of an award by mistake and of one missed; equal where none were given
    amount : money of an award
    """

    rates: StandardizedRates
    by: ChoiceBy
    goals: dict[str, str]
    truth: str
    bar: float | None
    side: Side
    p_deserved: pd.Series
    deserved: NDArray[np.bool_]
    awarded: pd.DataFrame
    losses: tuple[float, float]
    amount: float

    @property
    def chosen(self) -> pd.Series:
        """Whether each doctor is awarded: (doctor,)."""
        return self.awarded[self.by].rename("awarded")

    @property
    def cut(self) -> float:
        """Posterior probability above which a doctor is awarded."""
        return _cut(self.p_deserved.to_numpy(), self.chosen.to_numpy(), self.by, self.losses)

    @property
    def rule(self) -> PosteriorRule:
        """The choice as a rule that can be tried by ``operating_characteristics``.

        Raises
        ------
        SpecError
            The award is for a share of the doctors: there is no bar.
        """
        bar = self._require_bar()
        direction = awarded_direction(require_truth(self.rates, "rule"), self.side)
        return PosteriorRule(bar=bar, probability=self.cut, direction=direction)

    @property
    def flag_rule(self) -> FlagRule:
        """The choice as a rule for ``classify``; it flags both sides of the bar.

        Raises
        ------
        SpecError
            The award is for a share of the doctors, or everybody is awarded.
        """
        return FlagRule(threshold=self._require_bar(), probability=self.cut)

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per way to choose, the one asked for first: its set in every currency.

        Returns
        -------
        DataFrame indexed by ``by``: ``goal``, what was wanted; ``cut``, posterior probability
        above which a doctor is awarded; ``awarded``, doctors; ``mean, lower, upper`` of the PPV,
        the share of the awarded who deserve it (missing where nobody is awarded); ``fdr``,
        1 - mean; ``sensitivity``, expected; ``mistaken``, ``missed``, doctors expected to be
        awarded, or passed over, by mistake; ``loss``, expected, at the losses given;
        ``loss_ratio``, the loss of a mistaken award over that of a missed one at which this set
        would be the best, cut / (1 - cut); ``spent``, ``overpaid``, ``withheld``, money.
        """
        due = self._count(np.ones(len(self.p_deserved), dtype=bool))
        rows = {}
        for way in self._ways():
            awarded = self.awarded[way].to_numpy()
            rows[way] = self._row(awarded, way, level, self._count(awarded), due)
        frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("by")
        frame.insert(0, "goal", [self.goals[way] for way in frame.index])
        frame.attrs.update(level=level, truth=self.truth, amount=self.amount, losses=self.losses)
        return frame

    def doctors_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, most probable first.

        Returns
        -------
        DataFrame indexed by doctor: ``cases``; ``mean, lower, upper`` of the standardized rate;
        ``p_deserved``; ``awarded``.
        """
        frame = summarize_draws(self.rates.draws, level=level)[["mean", "lower", "upper"]]
        frame.insert(0, "cases", self.rates.cases.to_numpy())
        frame["p_deserved"] = self.p_deserved.to_numpy()
        frame["awarded"] = self.chosen.to_numpy()
        frame.attrs.update(level=level, unit=self.rates.unit, truth=self.truth)
        return frame.sort_values("p_deserved", ascending=False, kind="stable")

    def curve_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per cut that makes a difference, from awarding nobody to awarding all.

        Returns
        -------
        DataFrame indexed by the number of doctors ``awarded``, with the other columns of
        :meth:`to_frame` but the goal. Doctors of the same probability come together.
        """
        p = self.p_deserved.to_numpy()
        order = np.argsort(-p, kind="stable")
        ends = np.flatnonzero(np.r_[p[order][1:] < p[order][:-1], True] & (p[order] > 0)) + 1
        due, hits = self._count(np.ones(p.size, dtype=bool)), np.zeros(self.deserved.shape[1])
        rows = []
        for start, end in zip(np.r_[0, 0, ends], np.r_[0, ends], strict=False):
            hits = hits + self.deserved[order[start:end]].sum(axis=0)
            awarded = np.isin(np.arange(p.size), order[:end])
            rows.append(self._row(awarded, "set", level, hits, due))
        frame = pd.DataFrame(rows).set_index("awarded")
        frame.attrs.update(level=level, truth=self.truth, amount=self.amount, losses=self.losses)
        return frame

    def _ways(self) -> list[str]:
        return [self.by, *(way for way in self.goals if way != self.by)]

    def _count(self, awarded: Chosen) -> Array:
        return np.asarray(self.deserved[awarded].sum(axis=0), dtype=np.float64)

    def _row(
        self, awarded: Chosen, way: str, level: float, hits: Array, due: Array
    ) -> dict[str, float]:
        p, number = self.p_deserved.to_numpy(), int(awarded.sum())
        low = high = np.nan
        if number:
            low, high = (float(x[0]) for x in interval(hits[None, :] / number, level=level))
        mistaken, missed = float((1 - p)[awarded].sum()), float(p[~awarded].sum())
        ppv = float(p[awarded].mean()) if number else np.nan
        cut = _cut(p, awarded, way, self.losses)
        return {
            "cut": cut,
            "awarded": number,
            "mean": ppv,
            "lower": low,
            "upper": high,
            "fdr": 1 - ppv,
            "sensitivity": float((hits[due > 0] / due[due > 0]).mean()) if due.any() else np.nan,
            "mistaken": mistaken,
            "missed": missed,
            "loss": self.losses[0] * mistaken + self.losses[1] * missed,
            "loss_ratio": cut / (1 - cut) if cut < 1 else np.inf,
            "spent": self.amount * number,
            "overpaid": self.amount * mistaken,
            "withheld": self.amount * missed,
        }

    def _require_bar(self) -> float:
        if self.bar is None:
            raise SpecError(
                "The award is for a share of the best doctors, which has no bar. Take the doctors "
                "from `chosen`, or pass bar= to choose_threshold."
            )
        return self.bar

    def __repr__(self) -> str:
        row = self.to_frame().iloc[0]
        ppv = "nobody" if row["awarded"] == 0 else f"PPV {row['mean']:.0%}"
        return (
            f"ThresholdChoice by {self.by} ({self.goals[self.by]}): award if P({self.truth}) > "
            f"{row['cut']:.3g}, {row['awarded']:.0f} of {len(self.p_deserved)} doctors, {ppv}, "
            f"{row['missed']:.1f} expected to be missed"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().T)


def choose_threshold(
    rates: StandardizedRates,
    *,
    by: ChoiceBy,
    bar: float | None = None,
    share: Probability | None = None,
    side: Side = "better",
    loss_mistaken: Positive | None = None,
    loss_missed: Positive | None = None,
    budget: NotNegative | None = None,
    amount: Positive = 1.0,
    fdr: Probability | None = None,
    ppv: Probability | None = None,
    assurance: Probability | None = None,
) -> ThresholdChoice:
    """Choose how certain one must be to award a doctor, and say what the choice costs.

    Parameters
    ----------
    rates : standardized rates (P/E or direct)
    by : "losses", the least expected loss; "budget", as many of the most probable doctors as the
        money pays for; "fdr", as many as keep the expected share of mistakes; "ppv", as many as
        keep the wanted share of deserving ones. The numbers of the way asked for are needed; a
        way whose numbers are given as well is shown beside it
    bar : a doctor deserves the award if his true rate is beyond this; the overall rate unless
        given; or
    share : he deserves it if he is among this share of the best
    side : "better", an award for good doctors; "worse", a flag for bad ones
    loss_mistaken, loss_missed : loss of a mistaken award, and of a missed one
    budget, amount : money there is, and money of one award
    fdr : Bayesian false discovery rate, in (0, 1)
    ppv : wanted share of deserving doctors among the awarded, in (0, 1)
    assurance : posterior probability with which that PPV is to be reached; None asks for the
        expected PPV, which is the same as an fdr of 1 - ppv

    Raises
    ------
    SpecError
        The direction is unknown, rates that are O/E, numbers that are missing or impossible.

    Notes
    -----
    p_j = P(doctor j deserves the award | data). Expected loss L_FP sum_{awarded} (1 - p_j) + L_FN
    sum_{not} p_j is least for p_j > L_FP / (L_FP + L_FN). Every other way also takes doctors in the
    order of p_j, those of equal p_j together: as many as cost at most the budget; the largest set
    with mean (1 - p_j) at most the fdr; the largest set whose mean p_j is the PPV wanted, or whose
    PPV in the draws reaches it with the assurance. Nobody is awarded with p_j = 0.

    References
    ----------
    Austin (2008), BMC Medical Research Methodology 8:30, doi:10.1186/1471-2288-8-30. Müller,
    Parmigiani, Robert & Rousseau (2004), Journal of the American Statistical Association 99.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> ok.choose_threshold(rates, by="losses", loss_mistaken=4, loss_missed=1).cut
    0.8
    """
    check_arguments(choose_threshold, locals())
    direction = require_truth(rates, "choose_threshold")
    losses = _check_losses(loss_mistaken, loss_missed)
    if assurance is not None and ppv is None:
        raise SpecError("assurance is about a wanted PPV; pass ppv= too.")
    if bar is not None and share is not None:
        raise SpecError("choose_threshold takes bar or share, not both.")
    wanted = awarded_direction(direction, side)
    if share is None:
        bar = rates.reference_rate if bar is None else float(bar)
        check_rate("bar", bar, rates.family)
        truth: AbsoluteRule | PercentileRule = AbsoluteRule(bar=bar, direction=wanted, strict=True)
    else:
        truth = PercentileRule(share=share, direction=wanted)
    deserved = award_draws(rates, truth) > 0
    p = deserved.mean(axis=1)
    given = {
        "losses": (losses, lambda: p > _loss_cut(losses or (1.0, 1.0))),
        "budget": (budget, lambda: _affordable(p, int((budget or 0.0) / amount * (1 + 1e-12)))),
        "fdr": (fdr, lambda: discoveries(1 - p, fdr or 0.0)),
        "ppv": (ppv, lambda: _with_ppv(p, deserved, ppv or 0.0, assurance)),
    }
    ways: dict[str, Callable[[], Chosen]] = {
        way: choose for way, (number, choose) in given.items() if number is not None
    }
    if by not in ways:
        needed = {"losses": "loss_mistaken= and loss_missed="}.get(by, f"{by}=")
        raise SpecError(f"choose_threshold by {by!r} needs {needed}")
    index = rates.cases.index
    return ThresholdChoice(
        rates=rates,
        by=by,
        goals={way: _goal(way, given[way][0], amount, assurance) for way in ways},
        truth=str(truth),
        bar=bar if share is None else None,
        side=side,
        p_deserved=pd.Series(p, index=index, name="p_deserved"),
        deserved=deserved,
        awarded=pd.DataFrame(
            {way: choose() & (p > 0) for way, choose in ways.items()}, index=index
        ),
        losses=losses or (1.0, 1.0),
        amount=float(amount),
    )


def _loss_cut(losses: tuple[float, float]) -> float:
    return losses[0] / (losses[0] + losses[1])


def _cut(p: Array, awarded: Chosen, way: str, losses: tuple[float, float]) -> float:
    """Probability that separates the awarded from the others: the largest of those passed over."""
    if way == "losses":
        return _loss_cut(losses)
    return float(p[~awarded].max()) if not awarded.all() else 0.0


def _affordable(p: Array, places: int) -> Chosen:
    """Mark the most probable, as many as there are places; equals at the edge are left out."""
    if places >= p.size:
        return np.ones(p.size, dtype=bool)
    edge = np.sort(p)[::-1][places]
    return np.asarray(p > edge)


def _with_ppv(p: Array, deserved: Chosen, ppv: float, assurance: float | None) -> Chosen:
    if assurance is None:
        return discoveries(1 - p, 1 - ppv)
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(deserved[order], axis=0, dtype=np.float64)
    number = np.arange(1, p.size + 1)[:, None]
    reached = (hits / number >= ppv - 1e-12).mean(axis=1) >= assurance
    last_of_equals = np.r_[p[order][1:] < p[order][:-1], True]
    within = np.flatnonzero(reached & last_of_equals)
    if within.size == 0:
        return np.zeros(p.size, dtype=bool)
    return np.asarray(p >= p[order][within[-1]])


def _goal(way: str, number: object, amount: float, assurance: float | None) -> str:
    if isinstance(number, tuple):
        return f"a mistaken award costs {number[0] / number[1]:g} missed ones"
    if way == "budget":
        return f"{number:g} to spend, {amount:g} each"
    if way == "ppv":
        sure = "" if assurance is None else f" with probability {assurance:g}"
        return f"PPV at least {number:g}{sure}"
    return f"expected share of mistakes at most {number:g}"


def _check_losses(mistaken: float | None, missed: float | None) -> tuple[float, float] | None:
    if (mistaken is None) != (missed is None):
        raise SpecError("choose_threshold needs both loss_mistaken and loss_missed, or neither.")
    if mistaken is None or missed is None:
        return None
    return float(mistaken), float(missed)
