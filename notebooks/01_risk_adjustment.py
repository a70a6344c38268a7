# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which hospital is good? Risk adjustment on real patients
#
# **In short.** 1,495 patients of 54 hospitals, 34 % of whom died. The raw death rates of the
# hospitals run from 0 % to 100 %. Most of that is chance: after case mix and chance are accounted
# for, the estimates run from 30 % to 39 %, no hospital is beyond the overall rate with 95 %
# probability, and the result of the median hospital has a reliability of 0.19. The hospital at
# the head of the league table has a probability of 49 % of being among the best ten. Length of
# stay is another matter: there the hospitals do differ. A customary funnel plot of the days
# singles out nine hospitals, seven of them with six patients or fewer; it would name 3.8 if no
# hospital differed. How many of the nine a model of the patients confirms depends on the scale:
# three if it is about days, two if it is about their logarithm.
#
# The notebook goes the way that a careful report has to go: raw rates, case mix, chance, the
# checks of the model, and only then ranks, flags and what to do about them.

# %% tags=["parameters"]
SEED = 20261
DRAWS = 4000
LEVEL = 0.95  # probability of every interval
TOP = 10  # "among the best ten"
SHUFFLES = 500
YEARS = 10  # next years drawn for each draw of the posterior
STAY_DRAWS = 20_000

# %% tags=["varies"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

import outcomekpi as ok

pd.set_option("display.width", 110)
ok.provenance(executed_with="executed_with.json")

# %% [markdown]
# ## Question
#
# A head of department, or a ministry, has the deaths of a year and wants to know which hospitals
# do better and which do worse than they should. Two things stand between a death rate and an
# answer: the patients differ (**case mix**), and a rate from few patients moves by **chance**.
#
# ## Data
#
# *medpar* holds Medicare patients of one diagnostic group in Arizona, 1991 (Hilbe 2011;
# distributed with the R package COUNT). It names hospitals and no doctors, so **hospitals stand
# in the doctor's place**: where the output below says "doctors", read "hospitals". `died` is the
# outcome, and lower is better. The table does not say within how many days a death was counted.

# %%
patients = ok.datasets.load_medpar()
cases = ok.Cases.from_frame(patients, outcome="died", doctor="provnum", direction="lower")
caseload = patients["provnum"].value_counts().sort_index()
print(cases)
print(f"patients of a hospital: {caseload.min()} to {caseload.max()}, median {caseload.median():g}")
assert (len(patients), len(caseload)) == (1495, 54)
assert f"{patients['died'].mean():.0%}" == "34%"
assert (caseload.min(), caseload.median(), caseload.max()) == (1, 23, 92)

# %% [markdown]
# Known before treatment are whether the patient was 80 or older (`age80`), a member of a health
# maintenance organization (`hmo`), and the type of admission (`type`: 1 elective, 2 urgent, 3
# emergency). They matter:

# %%
by_type = patients.groupby(["type", "age80"])["died"].agg(["size", "mean"])
by_type

# %%
low, high = by_type["mean"].min(), by_type["mean"].max()
assert f"{low:.0%} {high:.0%}" == "28% 72%"

# %% [markdown]
# From 28 % of the younger elective patients to 72 % of the old emergencies (18 patients) died. A
# hospital that takes more emergencies has more deaths however good it is.
#
# The table also says who is white. That is left out on purpose: a model that adjusts for it would
# *expect* more deaths where a hospital treats a group worse, and so hide the difference that one
# would want to see.
#
# ## Model
#
# A patient of hospital $j$ with case mix $x$ dies with log odds $a + x'b + u_j$. The effects
# $u_j$ are normal with mean 0 and standard deviation `sd_doctor`, which the data determine
# together with everything else; that is what makes the result of a hospital with three patients
# stay near the middle. `ok.fit` returns draws from the joint posterior of all of it.

# %%
spec = ok.ModelSpec(case_mix="age80 + hmo + C(type)")
fit = ok.fit(cases, spec, draws=DRAWS, seed=SEED)
print(fit)
fit.to_frame(level=LEVEL).round(2)

# %%
terms = fit.to_frame(level=LEVEL)
old, emergency = np.exp(terms.loc[["age80", "C(type)[T.3]"], "mean"])
spread = terms.loc["sd_doctor"]
assert f"{old:.1f} {emergency:.1f}" == "1.9 1.9"
assert f"{spread['mean']:.2f} {spread['lower']:.2f} {spread['upper']:.2f}" == "0.21 0.02 0.41"
ok.plot_sd(fit, level=LEVEL)
plt.show()

# %% [markdown]
# The odds of death are 1.9 times as high at 80 and over, and 1.9 times as high for an emergency.
# The spread between hospitals is small and poorly known: 0.21 on the log-odds scale, with a 95 %
# interval from 0.02, which is next to no difference between hospitals, to 0.41. The figure shows
# it beside its prior (dashed): the data have ruled out large differences, and have not ruled out
# none.
#
# ## Raw against adjusted
#
# Three numbers for each hospital, all on the scale of a death rate:
#
# * **raw**: deaths / patients;
# * **O/E**: observed deaths over the deaths *expected*, which these hospitals would have had on
#   average with the same patients, times the overall rate. Case mix is out, chance is still in;
# * **P/E**: deaths that the model *predicts* for this hospital with its patients, over the
#   expected ones, times the overall rate. Case mix and chance are out. This is the
#   risk-standardized rate of CMS, the American payer of Medicare, but for the reference: CMS
#   expects what a hospital with an effect of 0 would have had (`average_doctor="median"`), whose
#   deaths need not add up to those that happened.

# %%
rates = ok.standardize(fit)
observed_rates = ok.standardize(fit, measure="O/E")
three = pd.DataFrame(
    {
        "raw": rates.raw_rate,
        "O/E": observed_rates.to_frame()["mean"],
        "P/E": rates.to_frame()["mean"],
    }
)
weight = rates.cases / rates.cases.sum()
middle = three.mul(weight, axis=0).sum()
three_ranges = three.agg(["min", "max"]).T
three_ranges["sd"] = np.sqrt(((three - middle) ** 2).mul(weight, axis=0).sum())
overall = rates.reference_rate
by_chance = np.sqrt(len(three) * overall * (1 - overall) / rates.cases.sum())
print(f"SD (weighted by patients) if all hospitals were the same: {by_chance:.3f}")
three_ranges.round(3)

# %%
assert (three_ranges["sd"].map("{:.3f}".format) == ["0.105", "0.099", "0.023"]).all()
assert f"{by_chance:.3f}" == "0.090"
true_sd = spread["mean"] * overall * (1 - overall)  # from log odds to a rate near the overall one
assert f"{true_sd:.2f}" == "0.05"
assert f"{three['raw'].min():.0%} {three['raw'].max():.0%}" == "0% 100%"
assert f"{three['P/E'].min():.0%} {three['P/E'].max():.0%}" == "30% 39%"

# %%
fig, ax = plt.subplots(figsize=(6.4, 4.2))
ax.plot(range(3), three.T, color="0.35", linewidth=0.7, marker="o", markersize=3, alpha=0.5)
ax.axhline(overall, color="black", linewidth=1.0, linestyle="--", label="all patients together")
ax.set_xticks(range(3), ["raw", "O/E\n(case mix out)", "P/E\n(chance out, too)"])
ax.set(ylabel="deaths per patient", xlim=(-0.3, 2.4))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Each line is a hospital. From the left to the middle, case mix is taken out: the lines cross,
# but the fan stays as wide; 0.105 becomes 0.099 (standard deviation, weighted by patients). If
# all hospitals were exactly alike, chance alone would give raw rates a standard deviation of
# 0.090. There is little left to be explained, and from the middle to the right the model takes
# out what chance explains: the estimates keep 0.023. (They are pulled together on purpose. The
# true rates, says the model, have a standard deviation of about 0.05: we know that the hospitals
# differ by more than the estimates show, and not which of them differ.) O/E above 1 on this scale
# is no mistake: one patient, who died, where 0.28 deaths were expected. A ratio from so few
# events is not a rate of anything.
#
# The same for each hospital: the distance from the diagonal is what shrinkage does, and it is
# largest for the hospitals with few patients (light).

# %%
tiny = rates.to_frame().loc["30033"]
assert f"{tiny['expected']:.2f}" == "0.28" and tiny["observed"] == tiny["cases"] == 1
ok.plot_shrinkage(rates, level=LEVEL)
plt.show()

# %% [markdown]
# ## Check
#
# Before anything is read off this model, four questions. Did the computation work? Do predicted
# risks agree with what happened? Would the model, run again, give each hospital deaths like those
# it had? And does the prior of the spread between hospitals decide the results?

# %%
checks = [
    ok.check_sampling(fit),
    ok.check_calibration(fit),
    ok.check_predictive(fit, seed=SEED, level=LEVEL),
    ok.check_prior_sensitivity(fit),
]
for check in checks:
    print(f"{check.name}: {check.status}.\n    {check.verdict}")
assert all(check.passed for check in checks)

# %%
concordance = checks[1].to_frame().query("group == 'all'").set_index("prediction")["concordance"]
prior = checks[3].to_frame()
assert f"{concordance['case mix']:.2f}" == "0.59"
assert f"{prior['largest_move'].max():.2f}" == "0.04"
assert (prior["sd_doctor"].map("{:.2f}".format) == ["0.20", "0.21", "0.21"]).all()
ok.plot_predictive(checks[2])
plt.show()

# %% [markdown]
# All pass. Half or twice the prior moves no hospital by more than 0.04 posterior standard
# deviations; the spread becomes 0.20 instead of 0.21. In the figure no hospital's deaths lie
# beyond what the model would give it again (1 on the vertical axis). With a handful of patients
# that check can hardly fail; it says something about the hospitals on the right.
#
# What the checks also say: case mix alone tells a patient who dies from one who survives with a
# C-statistic of 0.59, where a coin has one half. Four yes/no facts are a thin description of a
# patient. Severity that nobody wrote down stays in the hospitals' results, and no check of this
# kind can see it.
#
# ## Answer
#
# ### The funnel
#
# O/E of each hospital against its expected deaths, with limits that chance alone keeps to in 95 %
# and in 99.8 % of hospitals (exact binomial).

# %%
limits = ok.funnel_limits(rates, levels=(0.95, 0.998))
outside = limits.to_frame().query("beyond > 0")
print(limits)
ok.plot_funnel(rates, limits=limits)
plt.show()
outside[["cases", "observed", "expected", "beyond", "side"]].round({"expected": 1})

# %%
assert (len(outside), (outside["beyond"] == 0.998).sum()) == (3, 0)
deaths = np.arange(caseload.max() + 1)[:, None]  # every number of deaths there might be
frame = {name: column.to_numpy() for name, column in limits.to_frame().items()}
chance = stats.binom.pmf(deaths, frame["cases"], frame["expected"] / frame["cases"])
law = stats.binom(frame["cases"], frame["expected"] / frame["cases"])
for level, found in (("95", 3), ("99.8", 1)):
    tail = (1 - float(level) / 100) / 2
    beyond = (law.cdf(deaths) < tail) | (law.sf(deaths - 1) < tail)
    outside_p = (chance * beyond).sum(axis=0)  # of each hospital
    as_many = stats.poisson_binom.sf(found - 1, outside_p)
    print(f"outside {level} %: {outside_p.sum():.1f} by chance; {found} or more: {as_many:.0%}")
    assert f"{outside_p.sum():.1f} {as_many:.0%}" == {"95": "1.2 12%", "99.8": "0.0 4%"}[level]

# %% [markdown]
# Three of 54 hospitals lie outside the 95 % limits. If all were alike, 1.2 would on average (5 % of
# 54 would be more; counts are whole, so that exact limits leave less outside than asked), and three
# or more with a probability of 12 %. None lies outside 99.8 %. A funnel of so many hospitals
# usually shows somebody outside; the next steps take account of that.
# (The curves are for hospitals with
# average patients. The point at the upper left is the hospital whose only patient died: 0.28
# deaths were expected, so that chance does this often, and its own limit says so.)
#
# ### Ranks, and why a league table misleads

# %%
ranks = ok.rank(rates, top=TOP)
table = ranks.to_frame(level=LEVEL).sort_values("mean")
table[["mean", "lower", "upper", "p_best", "p_top", "p_bottom"]].iloc[[0, 1, 2, -3, -2, -1]].round(
    2
)

# %%
first, last = table.iloc[0], table.iloc[-1]
places = (table["upper"] - table["lower"] + 1).median()  # from 1 to 47 are 47 places
assert table.index[0] == "30022" and f"{first['p_best']:.0%} {first['p_top']:.0%}" == "7% 49%"
assert f"{first['mean']:.0f} {first['lower']:.0f} {first['upper']:.0f}" == "15 1 47"
assert f"{last['mean']:.0f} {last['lower']:.0f} {last['upper']:.0f}" == "42 9 54"
assert f"{last['p_bottom']:.0%} {places:.0f}" == "56% 50"
fig, ax = plt.subplots(figsize=(6.4, 6.0))
ok.plot_rank_intervals(ranks, level=LEVEL, ax=ax)
plt.show()

# %% [markdown]
# The best hospital of the table, 30022, has an expected rank of 15, not 1; with 95 % probability
# its rank lies between 1 and 47. It is the best of all with a probability of 7 %, and among the
# best ten with 49 %. The last one, 30018, may be anywhere between 9 and 54, and is among the last
# ten with 56 %. Half of the intervals hold 50 of the 54 places or more. That is what the figure
# shows: the order is printed by the computer, not by the hospitals.
#
# The raw table is worse, because the smallest hospitals lead it at both ends:

# %%
by_raw = rates.to_frame().sort_values("raw_rate")[["cases", "observed", "raw_rate"]]
ends = pd.concat([by_raw.head(4), by_raw.tail(2)])
assert ends["cases"].max() == 3
ends.round(2)

# %% [markdown]
# What would such a table be worth a year later? Let every hospital have the same patients again,
# with the death probabilities that the posterior gives it, and count how many of this year's ten
# best by O/E are among the ten best again; only the 30 hospitals with 20 patients or more, so
# that the tiny ones do not blur the picture.

# %%
large = rates.cases.to_numpy() >= 20
patients_now = rates.cases.to_numpy()[large]
predicted, expected = (
    events.to_numpy().reshape(-1, len(three))[:, large]
    for events in (rates.predicted, rates.expected)
)
rng = np.random.default_rng(SEED)
deaths = rng.binomial(patients_now, predicted / patients_now, (YEARS, *predicted.shape))
place = (deaths / expected).argsort(axis=-1).argsort(axis=-1)
best_now = three["O/E"].to_numpy()[large].argsort()[:TOP]
again = (place[..., best_now] < TOP).mean()
print(f"again among the best ten: {again:.1%}; by lottery: {TOP / large.sum():.0%}")

# %%
assert large.sum() == 30
assert f"{again:.0%} {TOP / large.sum():.0%}" == "44% 33%"

# %% [markdown]
# 44 %, where a lottery would give 33 %. Whoever is praised for being in the top third this year
# is more likely than not to have left it next year, with no hospital's quality changed.
#
# ### Reliability, and how many patients it would take
#
# Reliability is the share of the variation of such a hospital's result that is not chance. That it
# be 0.7 at least before somebody is paid or named is a convention (Adams et al. 2010 use it), not a
# law; what follows from less is computed below.

# %%
trust = ok.reliability(fit)
plan = ok.plan_caseload(trust, targets=(0.7, 0.8, 0.9))
print(plan)
ok.plot_reliability(trust)
plt.show()
plan.to_frame(level=LEVEL).round(0)

# %%
needed = plan.to_frame(level=LEVEL).loc[0.7]
tiers = ok.misclassify_tiers(rates, shares=(1 / 3, 1 / 3, 1 / 3))
print(tiers)
assert f"{trust.estimate.median():.2f} {trust.estimate.max():.2f}" == "0.19 0.43"
assert f"{needed['cases']:.0f} {needed['lower']:.0f}" == "244 64" and needed["upper"] > 10_000
assert f"{tiers.wrong_share.mean():.0%}" == "56%"

# %% [markdown]
# The median hospital has a reliability of 0.19, the largest one 0.43. For 0.7 a hospital would
# need 244 patients; the interval is wide, from 64 to more than ten thousand, because it is not
# certain that the hospitals differ at all. None has that many. If the hospitals were sorted into
# thirds, good, middling and bad, 56 % of them would be expected to sit in the wrong third;
# throwing dice would put two thirds there.
#
# ### Flags, and what they mean
#
# A flag is a decision, and so it needs a price: how many hospitals may be flagged in error for
# one that is found? Three answers to the same posterior:

# %%
rules = {
    "named in public: P > .95": ok.FlagRule(probability=0.95),
    "records are read: 3 in vain for 1 found": ok.FlagRule(loss_false_flag=3, loss_missed=1),
    "1 of 5 flags may be wrong": ok.FlagRule(fdr=0.2),
}
flagged = {name: ok.classify(rates, rule) for name, rule in rules.items()}
pd.DataFrame(
    {
        "worse": {name: (found.flag == "worse").sum() for name, found in flagged.items()},
        "better": {name: (found.flag == "better").sum() for name, found in flagged.items()},
        "false, expected": {name: found.expected_false_flags for name, found in flagged.items()},
    }
).round(1)

# %%
named, read, discovered = flagged.values()
assert (named.flag != "").sum() == 0
assert (discovered.flag != "").sum() == 11
assert f"{named.p_worse.max():.0%} {rules[list(rules)[1]].required_probability:.0%}" == "85% 75%"
worse = read.to_frame(level=LEVEL).query("flag == 'worse'").sort_values("p_worse", ascending=False)
assert (len(worse), f"{(1 - worse['p_worse']).sum():.1f}") == (5, "0.9")
worse.drop(columns="flag").round(2)

# %% [markdown]
# * To name a hospital in public, 95 % probability is little enough to ask. No hospital reaches
#   it; the highest probability of being worse than overall is 85 %.
# * Reading the records of a hospital costs a few days. If three readings in vain are a fair price
#   for one problem found, 75 % is enough, and five hospitals are worth a reading; 0.9 of the five
#   are expected to be read in vain. This is a list for improving quality, not a verdict.
# * A list of 11 of which one in five may be wrong is what remains of "top and bottom" when its
#   errors are counted.
#
# ### Length of stay: a funnel with overdispersion
#
# Deaths vary little more than chance lets them. Days in hospital do: a patient's stay is not a
# Poisson count. The customary way is a Poisson regression for the expected days, then a funnel
# whose limits are widened for **overdispersion** (Spiegelhalter 2005). The form used for the
# English hospital mortality indicator (SHMI) works on the log scale, sets the outer 10 % of
# hospitals aside at each end, and adds a variance $\tau^2$ between hospitals.
#
# The regression below has `died` among the case mix, because the published example of this funnel
# has it. Death is an outcome: it ends a stay, so that a hospital where patients die early is
# *expected* to have short stays and looks no better for them. At the end we see whether it matters.

# %%
days = smf.glm("los ~ hmo + died + age80 + C(type)", patients, family=sm.families.Poisson()).fit()
excess = days.pearson_chi2 / days.df_resid
stay = pd.DataFrame({"observed": patients["los"], "expected": days.fittedvalues})
totals = stay.groupby(patients["provnum"]).sum()
shmi = {"overdispersion": "additive", "transform": "log", "outliers": "trim", "outlier_share": 0.1}
plain = ok.count_limits(totals["observed"], totals["expected"], levels=(0.95, 0.998))
wide = ok.count_limits(totals["observed"], totals["expected"], levels=(0.95, 0.998), **shmi)
print(plain, wide, sep="\n")
nine = wide.to_frame().query("beyond >= 0.998").assign(patients=caseload)
nine[["patients", "observed", "expected", "value", "side"]].round(2)

# %%
assert (plain.to_frame()["beyond"] >= 0.998).sum() == 23
assert f"{excess:.2f} {wide.rule.phi:.2f} {wide.rule.tau2:.4f}" == "6.24 8.53 0.0284"
assert " ".join(nine.index) == "30017 30035 30037 30044 30060 30067 30068 30073 32003"
assert (nine["patients"] <= 6).sum() == 7

# %%
fig, ax = plt.subplots(figsize=(6.4, 4.4))
curve = wide.curve()
for name, style in (("95", "--"), ("99.8", "-")):
    ax.plot(curve.index, curve[f"upper_{name}"], style, color="0.5", label=f"{name} % limits")
    ax.plot(curve.index, curve[f"lower_{name}"], style, color="0.5")
rest = wide.value.drop(nine.index)
ax.plot(wide.precision[rest.index], rest, "o", color="0.4", markersize=4)
ax.plot(nine["precision"], nine["value"], "D", color="black", markersize=5, label="outside 99.8 %")
by_size = nine.sort_values("precision")
for number, row in enumerate(by_size.itertuples()):
    place_of_label = (0, -12 if number % 2 else 6)  # below and above in turn: no two collide
    ax.annotate(
        f"{row.patients}", (row.precision, row.value), place_of_label, textcoords="offset points"
    )
ax.axhline(1, color="black", linewidth=1.0)
ax.set_xscale("log")
ax.set_yscale("log", base=2)
ax.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
ax.set(xlabel="expected days (log scale)", ylabel="observed / expected days (log scale)")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Poisson limits put 23 hospitals outside 99.8 %. With overdispersion ($\phi$ = 8.53, $\tau^2$ =
# 0.0284) nine are left. The R package FunnelPlotR names the same nine (the test of the SHMI form
# in `tests/profiling/test_funnel.py` holds names, $\phi$ and $\tau^2$ against what it gave). They
# are the diamonds, with their numbers of patients, and something is wrong: seven of the nine have
# six patients or fewer. One has a single patient, who stayed two days.
#
# The reason is in the method, not in the hospitals. A patient's days vary 6.24 times as much as a
# Poisson count, so that a hospital with few patients is far off by chance alone. $\tau^2$ does
# not know that: it is the same for all, and adds next to nothing where the Poisson limits are
# wide already. That can be tested. Shuffle the patients over the hospitals, so that no hospital
# differs from another, and draw the funnel again:

# %%
rng = np.random.default_rng(SEED)
by_luck = []
for _ in range(SHUFFLES):
    mixed = stay.groupby(rng.permutation(patients["provnum"].to_numpy())).sum()
    luck = ok.count_limits(mixed["observed"], mixed["expected"], levels=(0.998,), **shmi)
    outliers = luck.to_frame()["beyond"] > 0
    by_luck.append((outliers.sum(), (outliers & (caseload <= 6)).sum()))
in_all, small = np.array(by_luck).T
print(
    f"outliers where no hospital differs: {in_all.mean():.1f} on average, {in_all.max()} at most;"
)
print(f"with six patients or fewer: {small.mean():.1f}; promised: {0.002 * len(totals):.1f}")

# %%
assert f"{in_all.mean():.1f} {small.mean():.1f} {0.002 * len(totals):.1f}" == "3.8 2.4 0.1"
assert (in_all >= len(nine)).sum() == 5

# %% [markdown]
# Where no hospital differs from any other, this funnel still names 3.8 hospitals on average
# beyond its 99.8 % limits, 2.4 of them with six patients or fewer; its limits promise 0.1. So
# some of the nine are named because they are small. The hospitals do differ, since only 5 of 500
# shuffles give nine or more; but which ones? A model of the patients tells, in which a hospital's
# result is as uncertain as its patients make it, and the result of a small one is pulled to the
# middle. There are two ready ways to write one, and they do not compare the same thing:
#
# * **log days**, normal, with an effect of the hospital. A very long stay counts little on this
#   scale: what is compared is in effect the *geometric* mean of the days. The fast engine fits it
#   here.
# * **days** as a count with more variation than Poisson (negative binomial), with an effect of the
#   hospital on the mean. This compares the *arithmetic* mean, as the funnel does. Only NUTS fits
#   it, in minutes: its result is read from `benchmarks/medpar_outliers.md`, which says by which
#   command it was written.
#
# Shorter is called better here for no other reason than that a direction must be named.

# %%
log_days = patients.assign(log_days=np.log(patients["los"]))
stays = ok.Cases.from_frame(log_days, outcome="log_days", doctor="provnum", direction="lower")
stay_spec = ok.ModelSpec(case_mix="hmo + died + age80 + C(type)", family="gaussian")
stay_fit = ok.fit(stays, stay_spec, draws=STAY_DRAWS, seed=SEED)
stay_flags = ok.classify(ok.standardize(stay_fit), ok.FlagRule(probability=LEVEL))
print(stay_fit, stay_flags, ok.check_predictive(stay_fit, seed=SEED, level=LEVEL), sep="\n")


def read_rows(section):
    rows = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return pd.DataFrame(rows[1:], columns=rows[0]).set_index(rows[0][0]).astype(float)


page = Path("..", "benchmarks", "medpar_outliers.md").read_text(encoding="utf-8")
_, by_hospital, by_likelihood = page.split("\n## ")
days_model = read_rows(by_hospital)
probability = pd.DataFrame(
    {
        "longer, log days": stay_flags.p_worse,
        "shorter, log days": stay_flags.p_better,
        "longer, days": days_model["P longer"],
        "shorter, days": days_model["P shorter"],
    }
)
nine[["patients", "observed", "expected", "value", "side"]].join(probability).round(2)

# %% [markdown]
# That are the nine (`value` is observed over expected days) with the posterior probability that
# their stays are longer, or shorter, than overall. And these are all hospitals that one of the two
# models flags:

# %%
certain = probability > LEVEL
flagged_by = pd.DataFrame(
    {
        "patients": caseload,
        "by log days": certain.filter(like="log days").any(axis=1),
        "by days": certain[["longer, days", "shorter, days"]].any(axis=1),
        "one of the nine": certain.index.isin(nine.index),
    }
)
pd.concat([flagged_by, probability.round(3)], axis=1)[certain.any(axis=1)]

# %%
of_nine = flagged_by.loc[nine.index]
assert list(of_nine.index[of_nine["by log days"]]) == ["30017", "30037"]
assert list(of_nine.index[of_nine["by days"]]) == ["30017", "30037", "32003"]
assert list(caseload[["30073", "32003"]]) == [4, 2]
assert f"{probability.loc['30037', 'shorter, log days']:.2f}" == "0.96"
assert f"{probability.loc['30073', 'longer, days']:.2f}" == "0.93"
assert (flagged_by["by log days"].sum(), flagged_by["by days"].sum()) == (10, 13)
both = flagged_by["by log days"] & flagged_by["by days"]
assert both.sum() == 8 and flagged_by.loc[both, "patients"].min() == 15
assert f"{probability['shorter, days']['30007']:.3f}" == "0.952"
assert f"{probability['shorter, days']['30092']:.3f}" == "0.956"
without_death = days_model.filter(like="left out").loc[nine.index] > LEVEL
assert list(nine.index[without_death.any(axis=1)]) == ["30017", "30037", "32003"]

# %%
likelihood = read_rows(by_likelihood)
ahead = likelihood["negative binomial"] - likelihood["normal for log days"]
assert " ".join(ahead.map("{:.0f}".format)) == "6 29"
stay_trust = ok.reliability(stay_fit)
stay_plan = ok.plan_caseload(stay_trust, targets=(0.7,)).to_frame(level=LEVEL).loc[0.7]
assert f"{stay_plan['cases']:.0f} {stay_plan['doctors']:.0%}" == "35 33%"
assert f"{stay_trust.estimate.median():.1f}" == "0.6"
likelihood

# %% [markdown]
# **Three of the nine or two.** The count model confirms three of the nine with 95 % probability:
# 30017 and 30037, which are of middling size and have short stays, and 32003, with the long stays
# of two patients. The model of log days confirms 30017 and 30037 (0.96); two long stays are no
# longer a reason on a scale on which long stays count little. 30073, with the long stays of four
# patients, misses the limit by a little in the count model (0.93). The other five of the nine, all
# with six patients or fewer, are confirmed by neither. That the days are adjusted for death changes
# none of this: without `died` the count model confirms the same three.
#
# Which scale is right? If beds and money are meant, the arithmetic mean, for which every day counts
# the same. As a description of the days the count model is the better one, too: with a term for
# each hospital its log likelihood is 29 higher at the same number of parameters (table; 6 higher
# without those terms). So three is the better founded answer. But what is said about two
# patients rests on the tail that the model assumes.
#
# **Beyond the nine.** The model of log days flags 10 hospitals, the count model 13, and 8 are
# flagged by both, none of them with fewer than 15 patients: these do not depend on the scale.
# Between lie hospitals for which the third decimal decides (30007: 0.952, 30092: 0.956). The
# overall mean is pulled up by a few hospitals with very long stays; compared with it, and not with
# the hospital in the middle, more hospitals have short stays.
#
# Stays tell hospitals apart where deaths do not: on the log scale the median reliability is 0.6,
# and 35 patients are enough for 0.7, which 33 % of the hospitals have. The same arithmetic that
# refused to rank the deaths finds differences where there are some.
#
# ### What a head of department should do
#
# 1. **Publish no ranking of these deaths, and pay nothing by it.** One year of these hospitals
#    does not hold the information, whatever formula is used. Show each hospital its own rate with
#    its interval.
# 2. **Collect before judging.** Some 244 patients a hospital for a reliability of 0.7, if the
#    spread is what it seems to be: several years together, or several diagnostic groups.
# 3. **Read records where it is cheap.** The five hospitals of the list above, knowing that about
#    one reading is in vain; and the two or three with the fewest deaths, who may have something
#    to teach.
# 4. **Write down how ill the patients were.** With four yes/no facts the case mix explains
#    little. What is not recorded counts against whoever takes the sickest.
# 5. **Choose outcomes that can be told apart.** Length of stay can, but it is a cost, not a
#    health gain; process measures usually can.
# 6. **Distrust a funnel that names the smallest.** Ask what it would name if nobody differed, and
#    whether a model names the same. Of the nine here, six have no model behind them, one has
#    one of two, and two have both: that is an order in which to read records.
#
# ## Caveats
#
# * Hospitals, not doctors; 1991; one diagnostic group; the table does not say within how many
#   days deaths were counted.
# * Effects are taken as normal. Posterior intervals are right if this and the case mix are; the
#   checks above can show that a model is wrong, never that it is right.
# * That nobody stands out does not show that the hospitals are equally good. The interval of the
#   spread reaches to 0.41, a spread that would matter to patients.
# * The length-of-stay models adjust for death, which is itself an outcome, because the published
#   example with which the nine outliers are compared does so.
# * Neither model of the days was compared with a third, and both take the spread of stays within
#   a hospital to be the same everywhere.
#
# ## Provenance and citation

# %% tags=["varies"]
ok.provenance()

# %% tags=["varies"]
print(ok.cite(rates, ranks, limits, trust, read, wide))
