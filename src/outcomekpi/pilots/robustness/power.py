"""What a pilot can show: the least effect, the power, and the size that it needs."""

from dataclasses import dataclass
from html import escape
from typing import Annotated, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Range, Seed
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.pilots.ladder.findings import Rung
from outcomekpi.pilots.robustness.power_formula import (
    Precision,
    least_effect,
    least_size,
    power_of,
)

__all__ = ["PilotPlan", "PilotPower", "pilot_power"]

Floats = NDArray[np.float64]


class PilotPlan(Protocol):
    """What a plan of a pilot can say of itself."""

    rungs: ClassVar[tuple[Rung, ...]]
    size_name: ClassVar[str]
    smallest: ClassVar[int]

    @property
    def size(self) -> int:
        """The number that :meth:`resize` changes."""
        ...

    @property
    def effect_unit(self) -> str:
        """Unit of the effect."""
        ...

    @property
    def limits(self) -> tuple[float, float]:
        """Largest fall and rise that the outcome allows."""
        ...

    def resize(self, size: int) -> "PilotPlan":
        """Return the same plan in another size."""
        ...

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect."""
        ...

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw pilots and test each: p-values (replicate,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotPower:
    """What a plan can show.

    Attributes
    ----------
    plan : as given
    effect : effect that power and size are asked for, in the unit of the plan; None asks for the
        least effect alone
    target : power that is wanted
    p_values : (replicate,), of simulated pilots under the effect; None without a simulation
    """

    plan: PilotPlan
    effect: float | None
    target: float
    p_values: Floats | None

    def detectable(self, *, level: float = DEFAULT_LEVEL, fall: bool = False) -> float:
        """Least effect that is shown with the wanted power, nan where none is.

        Parameters
        ----------
        level : of the interval that has to leave out no effect
        fall : whether a fall is asked for, instead of a rise
        """
        check_level(level)
        low, high = self.plan.limits
        most = low if fall else high
        return least_effect(self.plan.precision, power=self.target, level=level, most=most)

    def power(self, *, level: float = DEFAULT_LEVEL) -> float:
        """Probability that the effect is shown, by the formula.

        Parameters
        ----------
        level : of the interval that has to leave out no effect
        """
        check_level(level)
        effect = self._asked()
        return power_of(effect, self.plan.precision(effect), level=level)

    def simulated(self, *, level: float = DEFAULT_LEVEL) -> tuple[float, float, float]:
        """Share of simulated pilots that show the effect, with its 95 % Monte Carlo interval.

        Parameters
        ----------
        level : of the interval that has to leave out no effect

        Notes
        -----
        Wilson's interval of the share; its own level is 95 %, whatever ``level`` is.
        """
        check_level(level)
        if self.p_values is None:
            raise SpecError("Nothing was simulated: pass pilot_power(..., simulations=1000).")
        count, z = self.p_values.size, float(ndtri(0.975))
        share = float((self.p_values <= 1 - level).mean())
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        spread = np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
        half = z * float(spread) / (1 + z**2 / count)
        return share, max(middle - half, 0.0), min(middle + half, 1.0)

    def size_needed(self, *, level: float = DEFAULT_LEVEL) -> int | None:
        """Least size with the wanted power; None where ten million are not enough.

        Parameters
        ----------
        level : of the interval that has to leave out no effect
        """
        check_level(level)
        effect = self._asked()

        def power_at(size: int) -> float:
            return power_of(effect, self.plan.resize(size).precision(effect), level=level)

        return least_size(power_at, power=self.target, smallest=self.plan.smallest)

    def size_to_exclude_nil(self, *, level: float = DEFAULT_LEVEL) -> int | None:
        """Least size at which an estimate of just this effect has an interval without 0.

        Parameters
        ----------
        level : of the interval

        Notes
        -----
        A power of one half: the effect equals the quantile times its standard error, here the one
        under the effect (not that of the test), as a published interval has it.
        """
        check_level(level)
        effect = self._asked()

        def power_at(size: int) -> float:
            found = self.plan.resize(size).precision(effect)
            return float(abs(effect) > found.reach(level=level))

        return least_size(power_at, power=0.5, smallest=self.plan.smallest)

    def _asked(self) -> float:
        if self.effect is None:
            raise SpecError("Name the effect that is asked for: pilot_power(plan, effect=...).")
        return self.effect

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per answer.

        Returns
        -------
        DataFrame indexed by ``quantity``: ``unit``; ``mean``, the answer (of the formula, or the
        share of simulated pilots); ``lower, upper``, 95 % Monte Carlo interval of a simulated
        share, nan elsewhere.
        """
        unit, nan = self.plan.effect_unit, float("nan")
        rows: list[tuple[str, str, float, float, float]] = [
            ("detectable rise", unit, self.detectable(level=level), nan, nan),
            ("detectable fall", unit, self.detectable(level=level, fall=True), nan, nan),
        ]
        if self.effect is not None:
            rows.append(("power", "probability", self.power(level=level), nan, nan))
            if self.p_values is not None:
                found = self.simulated(level=level)
                rows.append(("simulated power", "probability", *found))
            needed = self.size_needed(level=level)
            least = self.size_to_exclude_nil(level=level)
            for name, size in (("size needed", needed), ("size to exclude nil", least)):
                value = nan if size is None else float(size)
                rows.append((name, self.plan.size_name, value, nan, nan))
        frame = pd.DataFrame(rows, columns=["quantity", "unit", "mean", "lower", "upper"])
        frame.attrs.update(level=level, target=self.target, effect=self.effect)
        return frame.set_index("quantity")

    def __repr__(self) -> str:
        kind = type(self.plan).__name__
        text = (
            f"PilotPower ({kind}, {self.plan.size:,} {self.plan.size_name}): least effect with "
            f"{self.target:.0%} power {self.detectable():.4g} {self.plan.effect_unit}"
        )
        if self.effect is None:
            return text
        needed = self.size_needed()
        size = "no size is enough" if needed is None else f"{needed:,} {self.plan.size_name} needed"
        return f"{text}; for {self.effect:g}: power {self.power():.0%}, {size}"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format="{:.4g}".format, na_rep="")
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def pilot_power(
    plan: PilotPlan,
    *,
    effect: float | None = None,
    power: Annotated[float, Range(low=0.05, high=1, inside="both")] = 0.8,
    simulations: Annotated[int, Range(low=0)] = 0,
    seed: Seed = 20261,
) -> PilotPower:
    """Effect that a planned pilot can show, its power, and the size that it needs.

    Parameters
    ----------
    plan : :class:`BeforeAfterPlan` (rungs 0 and 1), :class:`SeriesPlan` (2 and 3),
        :class:`DifferencePlan` (4), :class:`DoctorPlan` (5) or :class:`WedgePlan` (6)
    effect : true effect that power and size are asked for, with its sign, in percentage points
        for events and in the unit of the outcome for measurements
    power : probability that is wanted of an interval that leaves out no effect
    simulations : pilots that are drawn and analyzed to check the formula; 0 for none
    seed : of the simulation

    Raises
    ------
    SpecError
        The plan is none, or the numbers are impossible.

    Examples
    --------
    >>> from outcomekpi import BeforeAfterPlan, pilot_power
    >>> pilot_power(BeforeAfterPlan(patients=469, base=0.2), effect=-6.8)
    PilotPower (BeforeAfterPlan, 469 patients in each period): least effect with 80% power 7.792
    percentage points; for -6.8: power 80%, 469 patients in each period needed
    """
    check_arguments(pilot_power, locals())
    if not callable(getattr(plan, "precision", None)):
        raise SpecError(
            "plan must be BeforeAfterPlan, SeriesPlan, DifferencePlan, DoctorPlan or WedgePlan; "
            f"got {type(plan).__name__}. A design names the columns of data; a plan has numbers."
        )
    p_values = None
    if effect is not None:
        low, high = plan.limits
        if not low <= effect <= high:
            raise SpecError(
                f"An effect of {effect:+g} {plan.effect_unit} is impossible here; it must lie "
                f"from {low:g} to {high:g}."
            )
        if effect == 0:
            raise SpecError("effect must not be 0: no size shows that there is none.")
    if simulations:
        if effect is None:
            raise SpecError("A simulation needs an effect: pilot_power(plan, effect=...).")
        rng = np.random.default_rng(seed)
        p_values = plan.simulate(effect, replicates=simulations, rng=rng)
    return PilotPower(plan=plan, effect=effect, target=power, p_values=p_values)
