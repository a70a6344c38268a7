"""Ask a model of the days themselves which hospitals of medpar keep patients longer.

Run: ``python benchmarks/medpar_outliers.py`` (about 5 minutes on two cores).
"""

from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from scipy import stats

import outcomekpi as ok

SEED = 20261
DRAWS = 16_000
LEVEL = 0.95
CASE_MIX = "hmo + died + age80 + C(type)"
WITHOUT_DEATH = "hmo + age80 + C(type)"
PAGE = Path(__file__).with_suffix(".md")


def fit_days(cases, case_mix):
    """Posterior of the days of a patient: negative binomial, an effect of each hospital."""
    spec = ok.ModelSpec(case_mix=case_mix, family="negative_binomial")
    return ok.fit(cases, spec, engine="nuts", draws=DRAWS, seed=SEED)


def compare_hospitals(cases, patients):
    """One row a hospital: ratio, interval, probabilities; and the diagnostics of both fits."""
    fit, other = fit_days(cases, CASE_MIX), fit_days(cases, WITHOUT_DEATH)
    rates = ok.standardize(fit)
    mean, lower, upper = rates.ratio("P/E", level=LEVEL)
    flags, without = (
        ok.classify(ok.standardize(f), ok.FlagRule(probability=LEVEL)) for f in (fit, other)
    )
    table = pd.DataFrame(
        {
            "patients": patients["provnum"].value_counts(),
            "days": patients.groupby("provnum")["los"].sum(),
            "P/E": mean,
            "lower": lower,
            "upper": upper,
            "P longer": flags.p_worse,
            "P shorter": flags.p_better,
            "P longer, death left out": without.p_worse,
            "P shorter, death left out": without.p_better,
        }
    )
    return table.rename_axis("hospital").sort_index(), (fit.diagnostics, other.diagnostics)


def compare_likelihoods(patients):
    """Log likelihood of the whole days under both models, by maximum likelihood."""
    logs = patients.assign(log_days=np.log(patients["los"]))
    rows = {}
    for name, formula in (
        ("case mix only", CASE_MIX),
        ("case mix and a term for each hospital", f"{CASE_MIX} + C(provnum)"),
    ):
        normal = smf.ols(f"log_days ~ {formula}", logs).fit()
        sd = np.sqrt((normal.resid**2).mean())
        ends = [np.log(patients["los"] + half) - normal.fittedvalues for half in (-0.5, 0.5)]
        whole_days = stats.norm.cdf(ends[1] / sd) - stats.norm.cdf(ends[0] / sd)
        counts = smf.negativebinomial(f"los ~ {formula}", patients)
        found = counts.fit(disp=0, maxiter=1000, method="bfgs")
        rows[name] = {
            "parameters": len(found.params),
            "normal for log days": np.log(whole_days).sum(),
            "negative binomial": found.llf,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("terms")


def write_rows(table, digits):
    """Return a table as lines of Markdown; ``digits`` of each column."""
    lines = ["| " + " | ".join([table.index.name, *table.columns]) + " |"]
    lines.append("|" + "---|" * (len(table.columns) + 1))
    for row in table.itertuples():
        cells = [f"{value:.{digit}f}" for value, digit in zip(row[1:], digits, strict=True)]
        lines.append("| " + " | ".join([str(row[0]), *cells]) + " |")
    return lines


def write(hospitals, likelihoods, diagnostics, seconds):
    """Write the page."""
    effective = min(found["ess_bulk_min"] for found in diagnostics)
    lines = [
        "# Length of stay in medpar: which hospitals a count model singles out",
        "",
        f"Written by `python benchmarks/medpar_outliers.py` ({DRAWS:,} draws by NUTS of each of "
        f"two fits, nutpie, 4 chains, seed {SEED}, {seconds / 60:.0f} minutes; largest R-hat "
        f"{max(found['r_hat_max'] for found in diagnostics):.3f}, smallest effective sample "
        f"{effective:,.0f}, {sum(found['divergences'] for found in diagnostics):.0f} divergences). "
        f"Days of {hospitals['patients'].sum():,} patients: negative binomial, log mean "
        f"`{CASE_MIX}` and a normal effect of the hospital, default priors. *P/E* is the ratio of "
        "the days that the model predicts for a hospital to those that all hospitals on average "
        "would have with the same patients, with its 95 % interval; *P longer* the posterior "
        "probability that stays are longer than overall. *Death left out*: the same without "
        "`died` among the case mix. The Monte Carlo error of a probability near .95 is at most "
        f"{np.sqrt(LEVEL * (1 - LEVEL) / effective):.3f}.",
        "",
        "## Hospitals",
        "",
        *write_rows(hospitals, (0, 0, 2, 2, 2, 3, 3, 3, 3)),
        "",
        "## Which model describes the days",
        "",
        "Log likelihood at its maximum, as the probability of the whole number of days; both "
        "models have the same number of parameters.",
        "",
        *write_rows(likelihoods, (0, 1, 1)),
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def main():
    """Fit, compare, write."""
    began = perf_counter()
    patients = ok.datasets.load_medpar()
    cases = ok.Cases.from_frame(patients, outcome="los", doctor="provnum", direction="lower")
    hospitals, diagnostics = compare_hospitals(cases, patients)
    write(hospitals, compare_likelihoods(patients), diagnostics, perf_counter() - began)


if __name__ == "__main__":
    main()
