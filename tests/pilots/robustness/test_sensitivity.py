"""Sensitivity: what leaves nothing, E-values, other designs, and how it is shown."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.designs.aggregates import PublishedAggregates
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.e_values import e_value
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Rung
from outcomekpi.pilots.robustness.sensitivity import sensitivity
from outcomekpi.pilots.robustness.tipping import Explained, bias_factor, explain_grid, what_is_left


@dataclass(frozen=True)
class Given:
    """Rung 1 with given estimates; the first one moves with the mean of ``y``."""

    rung: ClassVar[Rung] = 1
    estimates: tuple[Estimate, ...] = ()
    tables: dict = field(default_factory=dict)
    doctor: str | None = None
    outcome: str = "y"

    def estimate(self, data, *, program, draws, rng):
        first = self.estimates[0]
        moved = replace(first, value=first.value + float(data[self.outcome].mean()))
        return Findings(
            estimand="effect on y",
            estimates=(moved, *self.estimates[1:]),
            naive=Estimate(name="naive", unit="points", value=0.0),
            assumptions=(),
            tables=self.tables,
        )


def points(value, se=5.0):
    return Estimate(name="risk difference", unit="percentage points", value=value, se=se)


def ratio(value, se=0.1, name="risk ratio"):
    return Estimate(name=name, unit="ratio", value=value, scale="log", se=se)


FRAME = pd.DataFrame({"y": np.zeros(6), "site": list("aabbcc"), "w": 1.0})


def effect_of(*estimates, **options):
    return compare_pilot(FRAME, Given(estimates=estimates, **options))


# --- numbers of the note -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("risk_ratio", "expected"), [(3.9, 7.263), (1.8, 3.0), (0.8, 1.809), (10.73, 20.948)]
)
def test_e_values_of_a_ratio_are_the_published_ones(risk_ratio, expected):
    found = sensitivity(effect_of(ratio(risk_ratio))).e_values()
    assert found.loc["risk ratio", "e_value"] == pytest.approx(expected, abs=5e-4)


def test_from_43_to_68_percent_is_explained_by_the_published_strengths():
    figures = PublishedFigures(before=43, after=68, unit="percent", years=2)
    found = sensitivity(compare_pilot(figures, PublishedAggregates(), draws=400), figures)
    tips = found.tipping()["tipping"]
    assert tips["trend"] == pytest.approx(12.5)
    assert tips["attrition"] == pytest.approx(0.645, abs=5e-4)
    # the E-value of 68/43 is 2.5403: 2.54 as published
    assert tips["confounder"] == pytest.approx(2.54, abs=5e-3)


def test_the_limit_of_an_interval_needs_less_than_the_estimate():
    effect = effect_of(points(25.0), ratio(68 / 43))
    tips = sensitivity(effect).tipping()
    assert (tips["tipping_of_limit"] < tips["tipping"]).all()
    # 25 - 1.96 x 5 points
    assert tips.loc["trend", "tipping_of_limit"] == pytest.approx(15.2, abs=1e-3)


def test_where_the_interval_holds_no_effect_nothing_is_needed():
    effect = effect_of(points(5.0), ratio(0.45 / 0.4))
    found = sensitivity(effect, base=0.4)
    tips = found.tipping()["tipping_of_limit"]
    assert tips["trend"] == tips["attrition"] == 0
    assert tips["confounder"] == 1
    assert found.e_values().loc["risk difference", "e_value_of_limit"] == 1


# --- laws ----------------------------------------------------------------------------------------

FAST = settings(max_examples=80, deadline=None)
PROPORTIONS = st.builds(
    lambda base, share, up: Explained(
        kind="proportion", value=100 * share * ((1 - base) if up else -base), base=base, span=2.0
    ),
    st.floats(0.05, 0.95),
    st.floats(0.05, 0.95),
    st.booleans(),
)
DIFFERENCES = st.builds(
    lambda value, sd: Explained(kind="difference", value=value, sd=sd, span=3.0),
    st.floats(0.1, 5.0) | st.floats(-5.0, -0.1),
    st.floats(1.0, 10.0),
)
RATIOS = st.builds(
    lambda value: Explained(kind="ratio", value=value, span=6.0),
    st.floats(1.05, 8.0) | st.floats(0.1, 0.95),
)


@FAST
@given(PROPORTIONS | DIFFERENCES | RATIOS)
def test_each_explanation_at_its_tipping_value_leaves_nothing(explained):
    from outcomekpi.pilots.robustness.tipping import list_tipping

    tips = list_tipping(explained, explained, span_unit=None)["tipping"]
    assert float(what_is_left(explained)) == pytest.approx(explained.size)
    names = {"trend": "trend", "regression to the mean": "regression"}
    for name, strength in tips.items():
        left = what_is_left(explained, **{names.get(name, name): strength})
        # relative to the effect; the attrition of means is found by bisection
        assert abs(float(left)) <= 1e-6 * explained.size + 1e-9, name


@FAST
@given(
    PROPORTIONS | DIFFERENCES | RATIOS,
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(0, 0.5),
    st.floats(1, 3),
)
def test_a_stronger_explanation_never_leaves_more(explained, trend, regression, lost, confounder):
    common = {"trend": trend, "regression": regression, "attrition": lost, "confounder": confounder}
    left = float(what_is_left(explained, **common))
    for name in common:
        stronger = {**common, name: common[name] * 1.2 + 0.01}
        assert float(what_is_left(explained, **stronger)) <= left + 1e-9, name


@FAST
@given(st.floats(0.01, 100.0))
def test_an_e_value_is_at_least_1_and_its_factor_is_the_ratio(risk_ratio):
    strength = e_value(risk_ratio)
    assert strength >= 1
    larger = max(risk_ratio, 1 / risk_ratio)
    assert float(bias_factor(strength)) == pytest.approx(larger, rel=1e-9)


@FAST
@given(PROPORTIONS | DIFFERENCES | RATIOS)
def test_the_frontier_starts_at_the_effect_and_reaches_nothing(explained):
    grid = explain_grid(explained, span_unit=None)
    assert grid["effect_left"].max() == pytest.approx(explained.size)
    assert grid["effect_left"].min() <= 1e-6
    axes = [name for name in grid.columns if name != "effect_left"]
    assert axes == list(explained.axes)


# --- how an effect is read -----------------------------------------------------------------------


def test_the_level_without_the_program_comes_from_difference_and_ratio():
    found = sensitivity(effect_of(points(25.0), ratio(68 / 43)))
    assert found.explained.base == pytest.approx(0.43)
    assert found.explained.kind == "proportion"


def test_the_level_may_come_from_the_counterfactual():
    table = pd.DataFrame({"counterfactual": [30.0, 40.0, 44.0], "after": [False, True, True]})
    table.attrs["unit"] = "percent"
    found = sensitivity(effect_of(points(10.0), tables={"counterfactual": table}))
    assert found.explained.base == pytest.approx(0.42)


def test_an_odds_ratio_of_a_common_outcome_enters_by_its_square_root():
    effect = effect_of(points(25.0), ratio(68 / 43), ratio(2.82, name="odds ratio"))
    row = sensitivity(effect).e_values().loc["odds ratio"]
    assert row["ratio"] == pytest.approx(np.sqrt(2.82))
    assert "square root" in row["approximation"]
    rare = effect_of(points(2.0, se=0.5), ratio(2.0), ratio(2.04, name="odds ratio"))
    row = sensitivity(rare).e_values().loc["odds ratio"]
    assert row["ratio"] == pytest.approx(2.04)


def test_means_need_a_standard_deviation_for_a_confounder():
    mean = Estimate(name="effect", unit="kg", value=2.0, se=0.5)
    bare = sensitivity(effect_of(mean))
    assert list(bare.tipping().index) == ["trend", "regression to the mean"]
    assert bare.e_values().empty
    found = sensitivity(effect_of(mean), sd=4.0)
    assert found.e_values().loc["effect", "e_value"] == pytest.approx(e_value(np.exp(0.91 * 0.5)))
    # a tenth of a normal, its lowest part, moves the mean of the rest by .195 SD
    left = float(what_is_left(found.explained, attrition=0.1))
    assert 2.0 - left == pytest.approx(4.0 * 0.19500, abs=1e-3)


# --- estimated again -----------------------------------------------------------------------------


def test_single_clusters_outcomes_and_other_designs_are_estimated_again():
    frame = FRAME.assign(y=[0.0, 0.0, 0.0, 0.0, 30.0, 30.0])
    design = Given(estimates=(points(2.0, se=4.0),), doctor="site")
    effect = compare_pilot(frame, design)
    other = replace(design, estimates=(points(1.0, se=4.0),))
    found = sensitivity(effect, frame, outcomes=["w"], others={"skeptical": other})
    table = found.to_frame()
    assert list(table["kind"]) == [
        "main effect",
        "placebo outcome",
        *(["leave one out"] * 3),
        "other design",
    ]
    assert table.loc[0, "mean"] == pytest.approx(12.0)
    assert found.leave_one_out().set_index("cluster").loc["c", "mean"] == pytest.approx(2.0)
    assert found.placebo()["mean"].tolist() == [3.0]
    checks = {one.name: one for one in found.checks()}
    assert checks["single clusters"].passed is False
    assert "rests on c" in checks["single clusters"].verdict
    assert checks["placebos"].passed is True


def test_a_refusal_is_kept_with_its_reason():
    @dataclass(frozen=True)
    class Picky(Given):
        def estimate(self, data, *, program, draws, rng):
            if len(data) < 6:
                raise CasesError("too few rows")
            return Given.estimate(self, data, program=program, draws=draws, rng=rng)

    effect = compare_pilot(FRAME, Picky(estimates=(points(2.0),), doctor="site"))
    table = sensitivity(effect, FRAME).to_frame()
    assert (table["reason"].iloc[1:] == "too few rows").all()
    assert table["mean"].iloc[1:].isna().all()


def test_intervals_follow_the_level():
    effect = compare_pilot(FRAME, Given(estimates=(points(20.0),), doctor="site"))
    found = sensitivity(effect, FRAME, base=0.4)
    narrow, wide = (found.leave_one_out(level=level) for level in (0.5, 0.99))
    assert (wide["lower"] < narrow["lower"]).all()
    tips = [found.tipping(level=level).loc["trend", "tipping_of_limit"] for level in (0.5, 0.99)]
    assert tips[0] > tips[1]


def test_the_tables_join_the_findings_for_reports_and_pictures():
    effect = compare_pilot(FRAME, Given(estimates=(points(25.0), ratio(68 / 43)), doctor="site"))
    found = sensitivity(effect, FRAME)
    whole = found.add_to(effect)
    assert {"tipping", "frontier", "e_values", "leave_one_out"} <= set(whole.findings.tables)
    assert [one.name for one in whole.findings.checks] == ["single clusters"]
    assert whole.main is effect.main
    with pytest.raises(SpecError, match="another effect"):
        found.add_to(whole)


def test_it_shows_itself_in_one_line_and_a_short_table():
    found = sensitivity(effect_of(points(25.0), ratio(68 / 43)))
    assert "\n" not in repr(found)
    assert "attrition 0.645" in repr(found)
    assert found._repr_html_().count("<tr") < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 0.9}, "lead outside"),
        ({"sd": -1.0}, "sd must be"),
        ({"span": 0.0}, "span must be"),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        sensitivity(effect_of(points(25.0)), **options)


def test_what_is_no_effect_and_columns_that_are_not_there_are_refused():
    with pytest.raises(SpecError, match="PilotEffect"):
        sensitivity(FRAME)
    with pytest.raises(CasesError, match="not a column"):
        sensitivity(effect_of(points(25.0)), FRAME, cluster="ward")
    with pytest.raises(SpecError, match="no column of the table"):
        sensitivity(effect_of(points(25.0)), FRAME, outcomes=["z"])


def test_new_estimates_never_wait_for_the_slow_engine():
    @dataclass(frozen=True)
    class Slow(Given):
        engine: str = "nuts"

        def estimate(self, data, *, program, draws, rng):
            if self.engine == "nuts" and len(data) < 6:
                raise CasesError("minutes of sampling")
            return Given.estimate(self, data, program=program, draws=draws, rng=rng)

    effect = compare_pilot(FRAME, Slow(estimates=(points(2.0),), doctor="site"))
    found = sensitivity(effect, FRAME)
    assert len(found.leave_one_out()) == 3
    assert any("not by NUTS" in note for note in found.notes)


def test_only_effects_have_e_values():
    spread = Estimate(name="SD of the changes", unit="percentage points", value=8.0, se=1.0)
    table = sensitivity(effect_of(points(25.0), ratio(68 / 43), spread)).e_values()
    assert list(table.index) == ["risk difference", "risk ratio"]
