"""Calls from cases to judgments of doctors: fits, checks, rates, ranks, awards, pay."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from golden_worlds import cases, fit, rates

import outcomekpi as ok
from outcomekpi.model.priors import Priors

FAMILIES = ("bernoulli", "binomial", "poisson", "negative_binomial", "gaussian")


def through_a_file():
    with tempfile.TemporaryDirectory() as folder:
        return ok.load_fit(ok.save_fit(fit(), Path(folder) / "fit.nc"))


def with_priors():
    priors = Priors(sd_doctor=ok.HalfNormal(0.2), coefficient=ok.Normal(0.0, 0.1))
    return ok.fit(cases(), ok.ModelSpec(case_mix="x1", priors=priors), draws=200, seed=1)


def two_arrays():
    rng = np.random.default_rng(1)
    risk, doctor = rng.uniform(0.1, 0.6, 800), rng.integers(0, 20, 800)
    return risk, (rng.random(800) < risk).astype(int), doctor


def predictions():
    risk, outcome, doctor = two_arrays()
    return ok.assess_predictions(
        risk, outcome=outcome, doctor=doctor, direction="lower", loess=True, replicates=100
    )


def table_of_doctors():
    flags, ranks = ok.classify(rates()), ok.rank(rates())
    return ok.doctor_table(fit(), rates(), ranks, flags, reliabilities=ok.reliability(fit()))


def paid(by):
    target = None if by == "cases" else rates().reference_rate
    return ok.pay_rates(rates(), ok.RatePayRule(by=by, target=target, budget=1000))


COUNTS = pd.Series([22, 9, 4, 31, 12], list("abcde"))
EXPECTED = pd.Series([15.0, 12.0, 7.5, 21.0, 11.0], list("abcde"))

POSTERIOR = {
    **{f"fit: {family}": lambda family=family: fit(family) for family in FAMILIES},
    "fit: nested": lambda: fit(nested=True),
    "fit: priors, Normal, HalfNormal": with_priors,
    "save_fit, load_fit": through_a_file,
    "check_sampling": lambda: ok.check_sampling(fit()),
    "check_predictive": lambda: ok.check_predictive(fit(), seed=1),
    "check_prior_sensitivity": lambda: ok.check_prior_sensitivity(fit(), draws=400),
    "pointwise_log_likelihood: case": lambda: ok.pointwise_log_likelihood(fit()),
    "pointwise_log_likelihood: doctor": lambda: ok.pointwise_log_likelihood(fit(), by="doctor"),
}

PROFILING = {
    **{f"standardize: {f}": lambda family=f: rates(family) for f in FAMILIES},
    "standardize: O/E": lambda: rates(measure="O/E"),
    "standardize: direct": lambda: rates(measure="direct"),
    "standardize: nested": lambda: ok.standardize(fit(nested=True), hospital="population"),
    "standardize: median": lambda: ok.standardize(fit(), average_doctor="median"),
    "rank": lambda: ok.rank(rates()),
    "rank: top": lambda: ok.rank(rates(), top=3),
    "classify": lambda: ok.classify(rates()),
    "classify: fdr": lambda: ok.classify(rates(), ok.FlagRule(fdr=0.1)),
    **{
        f"reliability: {method}": lambda method=method: ok.reliability(fit(), method=method)
        for method in ("latent", "anova", "beta_binomial", "split_sample", "iur")
    },
    "evaluate": lambda: ok.evaluate(fit()),
    "doctor_table": table_of_doctors,
    "exact_test": lambda: ok.exact_test(fit()),
    "exact_test: nested": lambda: ok.exact_test(fit(nested=True)),
    "divergence_test: importance": lambda: ok.divergence_test(fit()),
    "divergence_test: refit": lambda: ok.divergence_test(fit(), method="refit", draws=200),
    "funnel_limits": lambda: ok.funnel_limits(rates()),
    "funnel_limits: additive": lambda: ok.funnel_limits(rates(), overdispersion="additive"),
    "count_limits": lambda: ok.count_limits(COUNTS, EXPECTED),
    "count_limits: normal": lambda: ok.count_limits(
        COUNTS, EXPECTED, method="normal", overdispersion="multiplicative", transform="square_root"
    ),
    "r_values": lambda: ok.r_values(rates()),
    "report_card": lambda: ok.report_card(rates()),
    "report_card: ordered": lambda: ok.report_card(rates(), method="ordered"),
    "misclassify_tiers": lambda: ok.misclassify_tiers(rates(), shares=(0.25, 0.5, 0.25)),
    "median_cut_misclassification": lambda: ok.median_cut_misclassification(np.array([0.4, 0.7])),
    "describe_variation": lambda: ok.describe_variation(fit()),
    "describe_variation: nested": lambda: ok.describe_variation(fit(nested=True)),
    "median_odds_ratio": lambda: ok.median_odds_ratio(np.array([0.0, 0.5, 1.0])),
    "plan_caseload": lambda: ok.plan_caseload(ok.reliability(fit())),
    "fit_beta_binomial": lambda: ok.fit_beta_binomial(
        np.array([2.0, 9.0, 1.0, 6.0]), np.full(4, 10.0)
    ),
}

CALIBRATION = {
    "check_calibration": lambda: ok.check_calibration(fit()),
    "check_calibration: poisson": lambda: ok.check_calibration(fit("poisson")),
    "assess_calibration": lambda: ok.assess_calibration(
        fit(), subgroups=["x1"], replicates=100, thresholds=(0.2, 0.4)
    ),
    "assess_calibration: doctor": lambda: ok.assess_calibration(
        fit(), prediction="case mix and doctor", replicates=100
    ),
    "assess_predictions": predictions,
}

AWARDS = {
    **{
        f"misclassify: {name}": lambda rule=rule: ok.misclassify(rates(), rule)
        for name, rule in {
            "AbsoluteRule": ok.AbsoluteRule(bar=0.25, direction="lower"),
            "PercentileRule": ok.PercentileRule(share=0.25, direction="lower"),
            "RelativeRule": ok.RelativeRule(factor=0.9, direction="lower"),
        }.items()
    },
    "choose_threshold: losses": lambda: ok.choose_threshold(
        rates(), by="losses", loss_mistaken=4, loss_missed=1
    ),
    "choose_threshold: fdr": lambda: ok.choose_threshold(rates(), by="fdr", fdr=0.2, share=0.3),
    "choose_threshold: budget": lambda: ok.choose_threshold(rates(), by="budget", budget=4),
    "cut_misclassification": lambda: ok.cut_misclassification(np.array([0.5, 0.7]), share=0.1),
    "cut_misclassification: bar": lambda: ok.cut_misclassification(
        np.array([0.5, 0.7]), bar=-0.3, probability=0.6
    ),
    "caseload_misclassification": lambda: ok.caseload_misclassification(
        (25, 77, 300), mean=0.68, sd=0.08, share=0.1, direction="higher"
    ),
    "plan_awards": lambda: ok.plan_awards(mean=0.68, sd=0.08, ppv=0.8, share=0.1),
}

PAY = {
    **{f"pay_rates: RatePayRule, {by}": lambda by=by: paid(by) for by in ("cases", "threshold")},
    "misallocate": lambda: ok.misallocate(paid("threshold")),
}

DESELECTION = {
    "deselect: alone": lambda: ok.deselect(fit(), drop=(1, 3), everyone="no", draws=200),
    "deselect: everyone": lambda: ok.deselect(fit(), drop=(2,), worst="residual", draws=200),
}

ROOMS = {
    "posterior": POSTERIOR,
    "profiling": PROFILING,
    "calibration": CALIBRATION,
    "awards": AWARDS,
    "pay_by_rates": PAY,
    "deselection": DESELECTION,
}
SLOW = {
    "fit: negative_binomial",
    "standardize: negative_binomial",
    "deselect: everyone",
    "divergence_test: refit",
}
