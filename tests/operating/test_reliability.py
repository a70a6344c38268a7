"""Normal theory of reliability comes out of counts, with the distance to it worked out."""

import numpy as np
import pytest
from made_rules import BestShare, EachAboveBar
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from outcomekpi.awards.awards import PercentileRule
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.profiling.tiers import median_cut_misclassification


def icc_for(reliability, caseload):
    """R = n icc / (1 + (n - 1) icc): between p(1-p) icc, within p(1-p)(1 - icc) / n."""
    return reliability / (caseload - (caseload - 1) * reliability)


def chance_outside_the_best(share, reliability):
    """P(true value not in the best share | observed value in it), bivariate normal."""
    cut, r = -ndtri(share), np.sqrt(reliability)
    both = quad(
        lambda x: stats.norm.pdf(x) * ndtr((r * x - cut) / np.sqrt(1 - reliability)), cut, 12
    )[0]
    return 1 - both / share


@pytest.mark.parametrize("reliability", [0.3, 0.5, 0.7, 0.9])
def test_a_bar_at_the_median_misclassifies_the_share_of_the_formula(reliability):
    """Exact for counts; the distance to the normal limit shrinks as 1/n and is taken out."""
    formula = float(median_cut_misclassification(reliability))
    sizes = (201, 2_001, 20_001)  # odd, so that no rate is exactly at the bar
    found = []
    for n in sizes:
        setting = Setting(levels=(0.5,), caseloads=(n,), n_cycles=1, icc=icc_for(reliability, n))
        rule = EachAboveBar(bar=0.5, strict=True)
        frame = operating_characteristics(rule, setting, method="exact").to_frame()
        found.append(frame["misclassified"].item())
    errors = np.array(found) - formula
    # ten times the cases, a tenth of the error (next term: a hundredth)
    np.testing.assert_allclose(errors[:-1] / errors[1:], 10, rtol=0.02)
    limit = found[2] + (found[2] - found[1]) / (sizes[2] / sizes[1] - 1)
    # what is left is of order error^2 / error = errors[1] / 10 squared in 1/n, under 1e-7
    assert limit == pytest.approx(formula, abs=1e-6)


def test_half_of_the_reliability_is_a_quarter_wrong():
    assert float(median_cut_misclassification(0.5)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "rule", [BestShare(share=0.5), PercentileRule(share=0.5, direction="higher")], ids=repr
)
def test_the_best_half_is_misclassified_as_the_formula_says(rule):
    """A cut between ranks: simulated, with a bound on what ranks do to a fixed cut.

    Moving a cut from the median of the distribution to that of N units reclassifies |B - N/2|
    of them, B ~ Bin(N, 1/2). This happens to true and to observed values, so that the expected
    shares differ by 2 E|B - N/2| / N at most.
    """
    reliability, n_units, caseload = 0.7, 20_000, 1_000_001
    setting = Setting(
        levels=(0.5,),
        caseloads=(caseload,),
        n_units=n_units,
        n_cycles=1,
        icc=icc_for(reliability, caseload),
        replicates=40,
    )
    row = operating_characteristics(rule, setting).to_frame().iloc[0]
    quantity = operating_characteristics(rule, setting).quantities_frame()
    error = quantity.set_index("quantity").loc["misclassified", "mc_error"]
    bound = 2 * stats.binom(n_units, 0.5).expect(lambda b: np.abs(b - n_units / 2)) / n_units
    formula = float(median_cut_misclassification(reliability))
    assert bound < 0.012
    assert abs(row["misclassified"] - formula) < bound + 4 * error


def test_four_in_ten_bonuses_for_the_best_tenth_go_to_others_at_reliability_seven_tenths():
    """Exact for counts at fixed cuts, then for ranks among 1,000 doctors."""
    reliability, caseload = 0.7, 4_001
    icc = icc_for(reliability, caseload)
    one = Setting(levels=(0.5,), caseloads=(caseload,), n_cycles=1, icc=icc)
    a, b = one.beta_shapes(0.5)
    best_true = stats.beta.isf(0.1, a, b)
    best_seen = stats.betabinom.isf(0.1, caseload, a, b) / caseload
    rule = EachAboveBar(bar=best_seen, strict=True)
    setting = Setting(levels=(0.5,), caseloads=(caseload,), n_cycles=1, icc=icc, upper=best_true)
    exact = operating_characteristics(rule, setting, method="exact").to_frame().iloc[0]
    normal = chance_outside_the_best(0.1, reliability)
    assert round(normal, 1) == 0.4
    # one count more or less at the cut moves the share awarded by its probability
    step = stats.betabinom.pmf(round(best_seen * caseload), caseload, a, b) / 0.1
    assert abs(exact["ppv"] - (1 - normal)) < step
    many = Setting(
        levels=(0.5,), caseloads=(caseload,), n_cycles=1, icc=icc, n_units=1000, replicates=200
    )
    ranked = PercentileRule(share=0.1, direction="higher")
    found = operating_characteristics(ranked, many).quantities_frame().set_index("quantity")
    # 100 of 1,000: the two cuts between ranks move by E|B - 100| doctors each, as a share of 100
    bound = 2 * stats.binom(1000, 0.1).expect(lambda k: np.abs(k - 100)) / 100
    assert abs(found.loc["ppv", "mean"] - (1 - normal)) < bound + 4 * found.loc["ppv", "mc_error"]
    assert round(1 - found.loc["ppv", "mean"], 1) == 0.4
