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
# # What 43 → 68 %, +27 points and −34 % can and cannot mean
#
# **In short.** An article reports three results of a program that pays doctors for their
# patients' outcomes. They show that something changed, and they do not show that the program did
# it.
#
# - **43 % [A-C1E1.before] → 68 % [A-C1E1.after]** of the patients on their HbA1c target is a
#   change of 25 points. Chance alone is hardly an explanation: 29 patients at each date (172, if
#   the 50 of each doctor are alike) are enough for an interval that leaves out no change. But a
#   trend, selected patients and patients who left can together make all of it, at strengths that
#   are not extreme. Whoever states beliefs about what was not published is left with an
#   effect of 15 points and a 95 % interval from −4 to 30: the beliefs made that number as much as
#   the figures did.
# - **+27 points** [A-C1E2] of blood pressure control, with no level beside it, is 1.4 times as
#   many patients or ten times as many.
# - **−34 %** [A-C1E3] of readmissions has two readings. In percentage points it is impossible
#   unless at least 34 % [A-C1E3] were readmitted before. As a share of what was before, it says how
#   many admissions were spared only if somebody says how many there were.
#
# England shows why this matters. Between 1998 and 2003 blood pressure control of patients with
# coronary disease rose from 47.3 % to 72.2 % in 42 practices: another outcome, five years instead
# of two, but two levels that look alike, from before the country began to pay for performance on
# a large scale. When it did, control of hypertension went on along its trend, as far as monthly
# figures of 470,725 patients can tell.
#
# What follows computes every one of these statements, and ends with the strongest sentence that
# the three figures support and a list of what would have to be published to say more. Codes in
# brackets name rows of [the table of documented figures](../data/README.md).

# %% tags=["parameters"]
SEED = 20261
DRAWS = 4000
LEVEL = 0.95  # probability of every interval
ICC, PATIENTS_PER_DOCTOR = 0.05, 50  # likeness of the patients of one doctor, for the sample size
RELIABILITY = 0.7  # correlation of two HbA1c readings of one patient, unless said otherwise
HBA1C_MEAN, HBA1C_SD = 7.5, 1.5  # a supposed population with diabetes, % HbA1c
READMITTED, DIED = 0.20, 0.15  # supposed: within a year of discharge, before the program

# %% tags=["varies"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm, t
from statsmodels.stats.proportion import confint_proportions_2indep

import outcomekpi as ok

pd.set_option("display.max_colwidth", None, "display.width", 110)
ok.provenance(executed_with="executed_with.json")

# %% [markdown]
# ## Question
#
# The words of the source, with what they mean:

# %%
figures = ok.datasets.load_documented_figures()
published = figures.loc[["A-C1E1.before", "A-C1E1.after", "A-C1E2", "A-C1E3", "A-CASE1.years"]]
print(published["quotation"].iloc[0])
print()
print(published["english"].iloc[0])

# %% [markdown]
# The hospital had begun in 2021 to reward doctors for their patients' outcomes. **Which part of
# these changes can be put down to the program?**
#
# ## Data
#
# These numbers are all the data there are. `reading` says how a number is meant: a *level*, a
# change in percentage *points* (the source says 个百分点), or *unstated*, a change in % that may be
# relative or in points.

# %%
table = published[["what", "value", "unit", "reading"]]
assert table["reading"].tolist() == ["level", "level", "points", "unstated", "time"]
table

# %% [markdown]
# What the source does not say is longer than what it says:

# %%
published.loc[["A-C1E1.after", "A-C1E2", "A-C1E3"], ["not_stated"]]

# %% [markdown]
# ## Model
#
# With p the share before and q the share after, three things other than the program can move p to
# q:
#
# 1. **Trend**: the share would have moved anyway, by so many points a year.
# 2. **Regression to the mean**: patients who entered because a reading was high are lower next
#    time.
# 3. **Attrition**: patients who did badly are no longer counted.
#
# If a share x of the patients without the good outcome leaves the count, the full share f of the
# panel is shown as q = f / (f + (1 − f)(1 − x)). What is left for the program is f − p less trend
# and regression to the mean. `ok.compare_pilot` computes it for published figures (the lowest
# rung of the ladder of designs: nothing is known but two percentages), and says only what such
# figures allow.
#
# ## 1. What 43 → 68 % says

# %%
before, after, years = published["value"].loc[["A-C1E1.before", "A-C1E1.after", "A-CASE1.years"]]
hba1c = ok.PublishedFigures(before=before, after=after, unit="percent", years=years)
design = ok.PublishedAggregates(direction="higher")
effect = ok.compare_pilot(hba1c, design, draws=DRAWS, seed=SEED)
print(effect.verdict())
effect.findings.tables["possible"].round(2)

# %%
possible, main = effect.findings.tables["possible"], effect.main
low, high = main.interval(level=LEVEL)
assert f"{main.value:.0f}" == "25" and f"{low:.0f} to {high:.0f}" == "12 to 36"
assert possible.loc["risk difference", ["lower", "upper"]].round().tolist() == [24, 26]
assert f"{after / before:.2f}" == "1.58"
assert f"{possible.loc['odds ratio', 'lower']:.2f}" == "2.70"
assert f"{possible.loc['odds ratio', 'upper']:.2f}" == "2.94"

# %% [markdown]
# The share of patients on target rose from 43 % [A-C1E1.before] to 68 % [A-C1E1.after]: 25
# points, or 24 to 26 as both figures are rounded; 1.58 times as many patients; an odds ratio
# between 2.70 and 2.94. The table above is arithmetic and holds for certain. The interval of the
# verdict, 12 to 36, adds chance, and for that a number of patients is needed that nobody
# published (it is taken to lie between 50 and 2,000, with patients of one doctor alike to some
# degree).
#
# ### Does the unknown number of patients matter?
#
# With n patients at each date, the textbook interval of the difference is q − p ± 1.96 √{D (p(1 −
# p) + q(1 − q)) / n}; D is 1 if patients are independent and 1 + (m − 1) ICC if each of the
# doctors has m patients who are alike by an intraclass correlation. Then 1.96 gives way to the
# quantile of t with 2 n / m − 2 degrees of freedom: few doctors know little, however many patients
# they have.

# %%
p, q = before / 100, after / 100
design_effect = 1 + (PATIENTS_PER_DOCTOR - 1) * ICC
alike = np.geomspace(2.4 * PATIENTS_PER_DOCTOR, 2000, 200)
degrees = 2 * alike / PATIENTS_PER_DOCTOR - 2
variance = p * (1 - p) + q * (1 - q)
n = np.geomspace(20, 2000, 200)
halves = {
    "independent patients": (n, norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance / n)),
    f"{PATIENTS_PER_DOCTOR} alike per doctor": (
        alike, t.ppf((1 + LEVEL) / 2, degrees) * np.sqrt(design_effect * variance / alike)
    ),
}  # fmt: skip
fig, ax = plt.subplots(figsize=(6.8, 3.6))
for (label, (patients, half)), style in zip(halves.items(), ("-", "--"), strict=True):
    ax.plot(patients, 100 * (q - p - half), style, color="black", label=label)
    ax.plot(patients, 100 * (q - p + half), style, color="black")
ax.axhline(0, color="gray", linewidth=0.8)
ax.set(xscale="log", xlabel="patients at each date", ylabel="95% interval of the change (points)")
ax.set_xticks([20, 50, 100, 300, 1000], ["20", "50", "100", "300", "1000"])
ax.set_ylim(-20, 70)
ax.legend(title="limits of the interval")
plt.show()

# %%
assert f"{norm.ppf(0.975):.2f}" == "1.96"
needed = effect.findings.tables["patients_needed"]["to_exclude_nil"].iloc[0]
shown = {k: confint_proportions_2indep(k * q, k, k * p, k, method="wald") for k in (28, 29)}
assert needed == 29 and shown[28][0] < 0 < shown[29][0]
plans = {
    m: ok.BeforeAfterPlan(patients=200, base=p, icc=ICC, patients_per_doctor=m) for m in (10, 50)
}
change = after - before
clustered = {
    m: ok.pilot_power(plan, effect=change).size_to_exclude_nil() for m, plan in plans.items()
}
assert clustered == {10: 55, 50: 172}
print(f"needed: {needed} independent patients; by patients of a doctor who are alike: {clustered}")

# %% [markdown]
# From 29 independent patients on, the interval leaves out no change (statsmodels gives the same
# limit); from 55 on if each doctor has 10 patients who are alike by .05, from 172 on if each has
# 50. A chronic disease center that pays its doctors by such shares should have as many. Chance
# hardly makes a change of this size out of nothing; how large the change is, it does blur.
# **With a million patients the change would be known exactly, and its cause as little as now.**
#
# ## 2. What +27 points says
#
# The rise of 27 percentage points [A-C1E2] has no level beside it.

# %%
rise = figures.loc["A-C1E2", "value"]
pressure = ok.PublishedFigures(change=rise, reading="points", unit="percent", years=years)
pressure_effect = ok.compare_pilot(pressure, design, draws=DRAWS, seed=SEED)
print(pressure_effect.verdict())
levels = np.array([3, 10, 30, 50, 70])
pd.DataFrame(
    {
        "after (%)": levels + rise,
        "times as many": (1 + rise / levels).round(2),
        "share of those off target who came on (%)": (100 * rise / (100 - levels)).round(),
    },
    index=pd.Index(levels, name="before (%)"),
)

# %%
assert rise == 27
largest = pressure_effect.findings.tables["possible"].loc["before", "upper"]
assert f"{largest:.1f}" == "73.5" and f"{1 + rise / 3:.0f}" == "10"
assert f"{1 + rise / 70:.1f}" == "1.4" and f"{rise / 30:.0%}" == "90%"

# %% [markdown]
# Any level before is possible up to 73.5 %. From 3 % it would be ten times as many patients, from
# 70 % only 1.4 times as many, but 90 % of all who had not been under control: a trifle or a
# wonder. The package gives no interval here and no effect, because a change without a level
# identifies neither.
#
# ## 3. What −34 % says
#
# Readmissions for heart failure fell by 34 % [A-C1E3], in a sentence that says 个百分点 of blood
# pressure, and does not say it here. That suggests the relative reading, and does not prove it.
# The two readings allow different worlds:

# %%
fall = figures.loc["A-C1E3", "value"]
settings = {"change": -fall, "unit": "percent", "years": years}
points = ok.PublishedFigures(reading="points", **settings)
relative = ok.PublishedFigures(reading="relative", **settings)
lower = ok.PublishedAggregates(direction="lower")
fewer = {
    "points": ok.compare_pilot(points, lower, draws=DRAWS, seed=SEED),
    "relative": ok.compare_pilot(relative, lower, draws=DRAWS, seed=SEED),
}
for reading, one in fewer.items():
    print(f"{reading}: {one.verdict()}")
try:
    ok.PublishedFigures(before=20, reading="points", **settings)
except ok.CasesError as refusal:
    print("20 % before, in points:", refusal)

# %%
rows = []
for level in (10, 20, 30, 40, 60):
    share, less = level / 100, level / 100 * (1 - fall / 100)
    one = ok.PublishedFigures(before=level, reading="relative", **settings)
    found = ok.compare_pilot(one, ok.PublishedAggregates(priors=None), seed=SEED).findings
    need = found.tables["patients_needed"].iloc[0]
    in_points = f"{level - fall:.0f}" if level >= fall else "impossible"
    saved = f"{100 * (share - less):.1f}"
    needs = need[["to_exclude_nil", "for_power"]].astype(int)
    rows.append((level, in_points, f"{100 * less:.1f}", saved, *needs))
columns = ["before (%)", "after, in points (%)", "after, relative (%)", "spared per 100 patients"]
columns += ["patients a date to exclude no change", "for 80% power"]
readings = pd.DataFrame(rows, columns=columns).set_index("before (%)").astype(str)
readings

# %%
assert fall == 34 and readings.loc[20].tolist()[1:3] == ["13.2", "6.8"]
assert readings.loc[10].iloc[2] == "3.4" and readings.loc[60].iloc[2] == "20.4"
assert readings.loc[20].tolist()[3:] == ["229", "469"]

# %% [markdown]
# In points, fewer than 34 % readmitted before is impossible, and 40 % would have become 6 %. Read
# relatively, the fall spared 3.4 of 100 patients a readmission if 10 % had one before, and 20.4
# if 60 % had. And here the number of patients does matter: with 20 % before, it takes 229
# independent patients at each date before an interval leaves out no change, and 469 to have had a
# fair chance (80 %) of showing it, and more if the patients of a doctor are alike. The source does
# not say that there were so many.
#
# ### Death competes with readmission
#
# A patient who dies is not readmitted. If more die, fewer come back, and the figure improves; the
# third tier of the same program pays for "not readmitted within one year" and does not say what a
# death means. With constant hazards h of readmission and d of death, the share readmitted within
# a year is h / (h + d) · (1 − exp(−h − d)), where 1 − exp(−d) would die within the year if nobody
# were readmitted. (The two hazards are taken as independent; the sick have more of both, which
# hides more.) Suppose 20 % were readmitted and 15 % would have died, and let only deaths change:


# %%
def readmitted(h, d):
    return h / (h + d) * (1 - np.exp(-h - d))


hazard_death = -np.log(1 - DIED)
hazard = brentq(lambda h: readmitted(h, hazard_death) - READMITTED, 1e-6, 5)
deaths = np.array([0.15, 0.20, 0.25, 0.35])
shares = readmitted(hazard, -np.log(1 - deaths))
competing = pd.DataFrame(
    {"would die": deaths, "readmitted": shares, "change": shares / READMITTED - 1}
)
worst = 1 - np.exp(-brentq(lambda d: readmitted(hazard, d) / READMITTED - 1 + fall / 100, 1e-6, 20))
print(competing.to_string(index=False, float_format="{:.1%}".format))
print(f"a fall by {fall:.0f} % by deaths alone: {worst:.0%} would have to die")
assert f"{competing['change'].iloc[2]:.1%}" == "-5.6%" and f"{worst:.0%}" == "68%"

# %% [markdown]
# Ten more deaths in a hundred would look like 5.6 % fewer readmissions. That death made *all* of
# the fall is not credible: 68 % would have to die. But more deaths always push towards the
# better, and an improvement that cannot be told from a harm must not be published, or paid for,
# without the deaths beside it.
#
# ## 4. Regression to the mean, before your eyes
#
# Back to the figure that has two levels. No program at all, a million patients, two readings each
# with correlation .7 around a true value that does not change. Enroll those whose first reading
# is 7 or above:

# %%
target = figures.loc["A-C1R1.hba1c_below", "value"]
rng = np.random.default_rng(SEED)
true_value = rng.normal(HBA1C_MEAN, HBA1C_SD * np.sqrt(RELIABILITY), 1_000_000)
noise = HBA1C_SD * np.sqrt(1 - RELIABILITY)
first, second = (true_value + rng.normal(0, noise, true_value.size) for _ in range(2))
enrolled = first >= target
simulated = (second[enrolled] < target).mean()
population = ok.BaselinePopulation(mean=HBA1C_MEAN, sd=HBA1C_SD, reliability=RELIABILITY)
exact = ok.regression_to_mean(population, cutoff=target, side="above", target=target)
print(f"on target: everybody {(first < target).mean():.1%}, then {(second < target).mean():.1%}")
print(f"on target: enrolled {(first[enrolled] < target).mean():.0%}, then {simulated:.1%}")
print(exact)
assert f"{exact.expected:.1f}" == "18.9" and f"{simulated:.1%}" == "18.9%"
assert f"{(first < target).mean():.0%}" == f"{(second < target).mean():.0%}" == "37%"

# %% [markdown]
# In the whole population 37 % are on target both times: nothing happened. Among the enrolled
# nobody is on target at first, by definition, and 18.9 % the next time. The closed form gives the
# same.
#
# The published program started at 43 % [A-C1E1.before], so that not everybody was enrolled for a
# high reading. Take the general case: **a share w of the participants entered because a reading
# was 7 or above, the others regardless.** If a share π of such a population is on target on any
# day, the baseline shows (1 − w) π = .43, and the next reading shows w · P(below 7 | was at 7 or
# above) more, with no program. The baseline fixes w for each π; the reliability of a reading does
# the rest.


# %%
def rise_without_program(usual, reliability):
    cut = norm.ppf(usual)  # the target on the scale of the readings: mean 0, SD 1
    readings = ok.BaselinePopulation(mean=0, sd=1, reliability=reliability)
    back = ok.regression_to_mean(readings, cutoff=cut, side="above", target=cut).expected
    return (1 - p / usual) * back


usual = np.linspace(p, 0.85, 60)
fig, ax = plt.subplots(figsize=(6.8, 3.8))
for reliability, style in ((0.5, ":"), (0.7, "-"), (0.9, "--")):
    rises = [rise_without_program(u, reliability) for u in usual]
    ax.plot(100 * usual, rises, style, color="black", label=f"{reliability}")
ax.axhline(after - before, color="gray", linewidth=0.8)
ax.text(44, after - before + 0.6, "the published change", color="dimgray")
ax.set(xlabel="participants on target on any day (%)", ylabel="rise with no program (points)")
ax.legend(title="correlation of two readings", loc="upper left", bbox_to_anchor=(0.0, 0.79))
top = ax.secondary_xaxis("top", functions=(lambda u: u, lambda u: u))
top.set_xticks([50, 60, 70, 80], [f"{1 - p / (u / 100):.0%}" for u in (50, 60, 70, 80)])
top.set_xlabel("share that entered because of a high reading")
plt.show()

# %%
assert f"{p:.2f}" == "0.43"
rtm = {u: rise_without_program(u, RELIABILITY) for u in (0.50, 0.60, 0.70)}
entered = {u: 1 - p / u for u in rtm}
assert [f"{rtm[u]:.1f}" for u in rtm] == ["3.5", "8.7", "14.1"]
assert [f"{entered[u]:.0%}" for u in rtm] == ["14%", "28%", "39%"]
others = [rise_without_program(0.60, reliability) for reliability in (0.9, 0.5)]
assert [f"{rise:.0f}" for rise in others] == ["5", "11"]
usual_at_nil = {
    r: brentq(lambda u, r=r: rise_without_program(u, r) - (after - before), 0.5, 0.95)
    for r in (0.5, 0.7)
}
entered_at_nil = {r: 1 - p / u for r, u in usual_at_nil.items()}
assert [f"{u:.0%}" for u in usual_at_nil.values()] == ["79%", "87%"]
assert [f"{w:.0%}" for w in entered_at_nil.values()] == ["45%", "50%"]
pd.DataFrame({"entered for a high reading": entered, "rise, points": rtm}).round(2)

# %% [markdown]
# If 14 % of the participants entered because of a high reading, 3.5 points come without a
# program; if 28 % did, 8.7 points (5 with a correlation of .9, 11 with one of .5); if 39 % did,
# 14.1. To make all 25 points, 50 % must have entered so, in a population of whom 87 % are on
# target on any day (45 % and 79 % with a correlation of .5): hardly a population that needs a
# program. Regression to the mean is an unlikely explanation of the whole and a possible one of a
# part, as large as the unknown share of those chosen for a reading. One thing would have excluded
# it: a second reading between enrollment and the start, reported as the baseline.
#
# Places regress as well. If the hospital began because it stood among the worst quarter of its
# like, and shares on target differ between hospitals by an SD of 10 points and correlate by .7
# from year to year:

# %%
comes_back = ok.expected_regression(0.7, worst=0.25, sd=10.0)
print(f"expected with no program: {float(comes_back):.1f} points")
assert f"{float(comes_back):.1f}" == "3.8"

# %% [markdown]
# it comes back by 3.8 points on the average. The article does not say why this hospital began.
#
# ## 5. The trend
#
# Alone, a trend would have to be 12.5 points a year. What do shares on target do elsewhere,
# without this program? Published figures, with their sources:

# %%
campbell = "Campbell et al. 2005, BMJ 331:1121, doi:10.1136/bmj.38632.611123.AE (42 practices)"
fang = "Fang et al. 2021, NEJM 384:2219, doi:10.1056/NEJMsa2032271 (US, mid-years of two periods)"
elsewhere = pd.DataFrame(
    [
        ("HbA1c < 7%, US adults with diabetes", 57.4, 50.5, 8, fang),
        ("HbA1c < 7.4%, diabetes", 37.9, 39.7, 5, campbell),
        ("blood pressure ≤ 145/85, diabetes", 21.8, 35.8, 5, campbell),
        ("blood pressure ≤ 150/90, coronary disease", 47.3, 72.2, 5, campbell),
        ("cholesterol ≤ 5 mmol/L, coronary disease", 17.6, 61.4, 5, campbell),
    ],
    columns=["share of patients", "before", "after", "years", "source"],
)
elsewhere["a year"] = (elsewhere["after"] - elsewhere["before"]) / elsewhere["years"]
elsewhere.set_index("share of patients").round(1)

# %%
fig, ax = plt.subplots(figsize=(7.4, 2.8))
ax.barh(elsewhere["share of patients"], years * elsewhere["a year"], color="gray", height=0.55)
ax.axvline(after - before, color="black")
ax.text(after - before - 0.4, -0.2, "the published change", ha="right")
ax.set(xlabel="change in two years at the pace seen elsewhere (points)", xlim=(-3, 26))
plt.show()
nil = effect.findings.tables["tipping"].loc["trend a year", "tipping"]
pace = elsewhere["a year"]
assert f"{nil:.1f}" == "12.5" and [f"{x:.1f}" for x in pace] == ["-0.9", "0.4", "2.8", "5.0", "8.8"]
assert f"{years * pace.iloc[3]:.0f} {years * pace.iloc[4]:.1f}" == "10 17.5"
assert f"{elsewhere['after'].iloc[3] - elsewhere['before'].iloc[3]:.1f}" == "24.9"

# %% [markdown]
# The paces run from −0.9 points a year (HbA1c in the United States) and 0.4 (HbA1c in England)
# over 2.8 and 5.0 (blood pressure in England) to 8.8 (cholesterol, when statins spread). None
# reaches 12.5. Blood pressure at the English pace would have brought 10 of the 25 points in two
# years, HbA1c at the English pace hardly one. So a trend alone is an unlikely explanation as
# well; but nobody would know which of these paces this hospital had, and the hospital itself
# could say it from its records.
#
# ## 6. Who is still counted after two years
#
# The first figure is of those who entered, the second of those who could be measured two years
# later. If a share a of the panel is missing from it, the full share lies between q(1 − a), where
# all the missing are off target, and q(1 − a) + a, where all are on target, whatever the reason
# for leaving.

# %%
missing = np.linspace(0, 0.45, 100)
fig, ax = plt.subplots(figsize=(6.8, 3.4))
ax.fill_between(100 * missing, after * (1 - missing), after * (1 - missing) + 100 * missing,
                color="lightgray", label="possible for the whole panel")  # fmt: skip
ax.axhline(after, color="black", label="share of those measured")
ax.axhline(before, color="black", linestyle="--", label="share before")
ax.set(xlabel="panel without a measurement after two years (%)", ylabel="on target after (%)")
ax.legend(loc="upper left")
ax.set_ylim(30, 105)
plt.show()

# %%
tipping = effect.findings.tables["tipping"]["tipping"]
panel, off = tipping["attrition of the panel"], tipping["attrition"]
tenth = [after * 0.9, after * 0.9 + 10]
assert f"{panel:.1%}" == "36.8%" and f"{1 - p / q:.1%}" == "36.8%" and f"{off:.1%}" == "64.5%"
assert [f"{x:.0f}" for x in tenth] == ["61", "71"]
tipping.round(3)

# %% [markdown]
# With a tenth of the panel missing, between 61 % and 71 % of all are on target: still far above
# 43 % [A-C1E1.before]. With 36.8 % missing, all off target, nothing is left of the change; that
# is 64.5 % of the patients off target. A flow diagram with three numbers (entered, measured, and
# why not) would replace this figure.
#
# ## 7. All three together: the frontier
#
# Alone, each explanation has to be extreme. Together they need not be. On each line below,
# nothing is left for the program; right of it and above it the program would have done harm.

# %%
fig, ax = plt.subplots(figsize=(7.2, 4.6))
ok.plot_frontier(effect, ax=ax)
plt.show()


# %%
def left_over(trend, regression, attrition):
    full = q * (1 - attrition) / (1 - attrition * q)
    return 100 * (full - p) - years * trend - regression


grid = effect.findings.tables["frontier"]
ours = left_over(grid["trend"], grid["regression_to_mean"], grid["attrition"])
assert np.allclose(ours, grid["effect_left"])
stories = pd.DataFrame(
    [
        ("weak", pace.iloc[1], rtm[0.50], 5),
        ("middling", pace.iloc[2], rtm[0.60], 15),
        ("strong", pace.iloc[3], rtm[0.60], 25),
    ],
    columns=["story", "trend, points a year", "regression, points", "off target who left, %"],
).set_index("story")
stories["left for the program"] = [left_over(t, r, a / 100) for t, r, a in stories.to_numpy()]
assert f"{entered[0.50]:.0%} {entered[0.60]:.0%}" == "14% 28%"
left = stories["left for the program"]
assert f"{left.iloc[0]:.0f} {left.iloc[1]:.0f}" == "20 7" and abs(left.iloc[2]) < 0.5
stories.round(1).T

# %% [markdown]
# The three stories are made of numbers seen above. *Weak*: HbA1c moved as in England, 14 %
# entered for a high reading, 5 % of those off target left; 20 points are left for the program.
# *Middling*: the pace of blood pressure of English diabetics, 28 % entered for a high reading, 15
# % of those off target left; 7 points. *Strong*: the pace of blood pressure of English coronary
# patients, the same selection, 25 % left; nothing. All three are consistent with the figures.
# **Nothing in them chooses.** A hidden difference between the two dates of another kind (other
# patients, another laboratory) would have to be tied to date and outcome by risk ratios of 2.54
# each to make the change (the E-value).

# %%
assert f"{tipping['confounder']:.2f}" == "2.54" and f"{ok.e_value(after / before):.2f}" == "2.54"
bounds = effect.findings.tables["bounds"].set_index("m")
assert [f"{x:.1f}" for x in bounds.loc[np.inf, ["lower", "upper"]]] == ["-32.5", "68.5"]
bounds.round(1)

# %% [markdown]
# Whoever refuses all beliefs gets bounds. If the trend is at most m points a year either way and
# nobody leaves, the effect lies in the row of m. With nothing assumed, the last row: between
# −32.5 and 68.5 points. Bounds that wide are what two percentages say about a cause.
#
# ## 8. With stated beliefs
#
# Between refusing and guessing there is a third way: state for each unknown a range that holds it
# with 95 % probability, with a reason, and let the arithmetic follow. These are the defaults of
# the package:

# %%
beliefs = [
    text for text in effect.findings.assumptions if text.startswith(("Trend", "Regress", "Share"))
]
print("\n\n".join(beliefs))
estimates = effect.to_frame(level=LEVEL).loc[["risk difference", "program effect"]]
estimates[["unit", "mean", "lower", "upper"]].round(1)

# %%
mean, lower_limit, upper_limit = estimates.loc["program effect", ["mean", "lower", "upper"]]
assert f"{mean:.0f} ({lower_limit:.0f} to {upper_limit:.0f})" == "15 (-4 to 30)"
sensitivity = effect.findings.tables["prior_sensitivity"].set_index("prior")
assert f"{sensitivity['mean'].min():.0f} to {sensitivity['mean'].max():.0f}" == "9 to 18"
sensitivity.round(0)

# %% [markdown]
# Under these beliefs the program's effect is 15 points, −4 to 30. Other beliefs move the middle
# between 9 and 18 points. This is not a result about the program: the posterior of trend,
# selection and attrition *is* their prior, as the figures do not speak about them. It is a result
# about reporting, because it shows what each missing fact costs. Suppose the same two percentages
# had come with more:

# %%
flat = ok.PriorRange(lower=0, upper=1, why="supposed: the years before are published")
few_left = ok.PriorRange(
    lower=0.01, upper=0.05, scale="logit", why="supposed: those who left are published"
)
counted = ok.PublishedFigures(
    before=before, after=after, unit="percent", years=years, n_before=600, n_after=600
)
entry = ok.Program(selected_on_baseline=False)
supposed = {
    "as published": effect,
    "+ known: 600 patients at each date": ok.compare_pilot(counted, design, draws=DRAWS, seed=SEED),
    "+ known: nobody chosen for a reading": ok.compare_pilot(
        counted, design, program=entry, draws=DRAWS, seed=SEED
    ),
}
for name, priors in {
    "+ known: 0 to 1 point a year before": ok.AggregatePriors(trend=flat),
    "+ known: 1 to 5% of those off target left": ok.AggregatePriors(trend=flat, attrition=few_left),
}.items():
    better = ok.PublishedAggregates(direction="higher", priors=priors)
    supposed[name] = ok.compare_pilot(counted, better, program=entry, draws=DRAWS, seed=SEED)
worth = pd.concat(
    {name: one.to_frame(level=LEVEL).loc["program effect"] for name, one in supposed.items()}
).unstack()[["mean", "lower", "upper"]].loc[list(supposed)].astype(float)  # fmt: skip
worth.round(0)

# %%
fig, ax = plt.subplots(figsize=(7.2, 2.6))
rank = np.arange(len(worth))[::-1]
ax.hlines(rank, worth["lower"], worth["upper"], color="black")
ax.plot(worth["mean"], rank, "o", color="black")
ax.axvline(0, color="gray", linewidth=0.8)
ax.margins(y=0.15)
ax.set(yticks=rank, yticklabels=worth.index, xlabel="effect of the program (points, 95% interval)")
plt.show()
assert f"{worth['lower'].iloc[-1]:.0f} to {worth['upper'].iloc[-1]:.0f}" == "15 to 31"

# %% [markdown]
# Each row adds one supposed fact to those above it. Four sentences in the article could have
# turned "−4 to 30" into "15 to 31"; other answers to the same four questions would have turned it
# into nothing. Which question is worth most to ask of the authors is computed as well: by how
# much the variance of the effect would fall if the answer were known.

# %%
unknowns = effect.findings.tables["unknowns"].set_index("unknown")
share = unknowns["variance_share"]
assert list(unknowns.index[:2]) == ["sampling error", "trend"]
assert f"{share.iloc[0]:.0%} {share.iloc[1]:.0%}" == "52% 19%"
unknowns[["prior", "variance_share", "ask_for"]].round(2)

# %% [markdown]
# The number of patients and doctors, which costs the authors one line, comes first (52 %), the
# years before second (19 %). That is no contradiction to section 1: chance cannot have made 25
# points of nothing, but how many of them there are depends on n while n may be 50.
#
# ## 9. Check: the counter-example
#
# Is the caution exaggerated? There is a case in which more is known. In April 2004 the United
# Kingdom began to pay family doctors for reaching targets, in the Quality and Outcomes Framework
# (QOF). Take blood pressure control of coronary patients in 42 English practices, as if its
# figures of 1998 and 2003 stood in an article about a program that had begun in between:

# %%
england = elsewhere.iloc[3]
told = {"before": england["before"], "after": england["after"], "years": england["years"]}
as_if = ok.compare_pilot(
    ok.PublishedFigures(unit="percent", **told), design, draws=DRAWS, seed=SEED
)
print("This article:", effect.verdict())
print("England:     ", as_if.verdict())
assert f"{as_if.main.value:.1f}" == "24.9"
assert f"{england['a year']:.1f} a year against {nil:.1f}" == "5.0 a year against 12.5"

# %% [markdown]
# Another outcome, and five years instead of two: by pace this is 5.0 points a year against 12.5.
# But two levels are all that an article gives, and for the same two levels there is the same
# verdict. In England these were the years **before** the QOF: 24.9 points came with national
# standards, inspections, and whatever else those years brought. (Some small payments existed
# already.) Then the QOF began, and researchers had what the article lacks: monthly figures of
# 470,725 patients with hypertension, over four years before and three years after, in one study,
# and yearly figures of 148 practices in another.

# %%
serumaga = "Serumaga et al. 2011, BMJ 342:d108, doi:10.1136/bmj.d108 (470,725 patients)"
doran = "Doran et al. 2011, BMJ 342:d3590, doi:10.1136/bmj.d3590 (148 practices)"
qof = pd.DataFrame(
    [
        ("share with controlled hypertension: change of level beyond the trend",
         "−1.19 (as printed: −2.06 to 1.09, P = .109)", serumaga),
        ("the same: change of the trend, by month",
         "−0.01 (−0.06 to 0.03, P = .569)", serumaga),
        ("paid activities that improved faster than before, first year", "22 of 23", doran),
        ("paid activities above their former trend, third year", "14 of 23", doran),
    ],
    columns=["after the payment began", "found", "source"],
)  # fmt: skip
qof.set_index("after the payment began")

# %% [markdown]
# Beyond its trend, control of hypertension did not move visibly. (The printed interval of the
# level does not have its estimate, −1.19, in the middle and does not fit its P, and the abstract
# names no unit: no weight is put on the digits.) Most paid activities of the other study did: 22
# of 23 improved faster than their trend in the first year, and 14 were above it in the third. So
# the QOF does not show that paying for results fails. It shows that **two percentages look the
# same whether it works or not**, and that figures from before the start are what tells the two
# apart.
#
# ## Answer
#
# The strongest sentence that the package allows for each figure:

# %%
answers = {"HbA1c": effect, "blood pressure": pressure_effect, "readmission": fewer["relative"]}
for name, one in answers.items():
    print(f"{name}: {one.verdict()}")

# %% [markdown]
# And in words that a reader of the article can use:
#
# > Among those counted, the share with HbA1c on target was 43 % [A-C1E1.before] before the program
# > and 68 % [A-C1E1.after] two years later: 25 points more, and more than chance makes with some
# > two hundred patients of several doctors. Blood pressure control was 27 points [A-C1E2] higher
# > from a level that is not given; readmissions for heart failure were 34 % [A-C1E3] fewer, of a
# > number that is not given, and it is not said whether relatively. What the program contributed
# > is not known: from the figures alone it may be anything from harm to more than the whole
# > change.
#
# To say more, the following would have to be published. These are the questions of the usual
# checklists (TREND, SQUIRE, EPOC, ROBINS-I, TARGET) that the figures leave open:

# %%
missing_answers = effect.checklist.query("status == 'missing'")["question"]
print("\n".join(f"- {question}" for question in missing_answers))
assert f"{len(missing_answers)}" == "15"

# %% [markdown]
# Fifteen questions are open. The five that matter most, the cheapest first:
#
# 1. how many patients and doctors stand behind each figure, and the level before of all three;
# 2. whether the fall of 34 % [A-C1E3] is relative, in which window, and how many died;
# 3. the same three shares in each of the three years before;
# 4. how patients entered, and a second reading from before the program;
# 5. how many who were counted before are still counted, and what became of the others.
#
# None of them needs a trial. With a comparison group or a staggered start there would be an
# effect to report: notebook 06 shows what each design would have claimed.
#
# ## Caveats
#
# * The three figures stand in one sentence of one article. There may be a report with all the
#   answers; this notebook judges the sentence, not the hospital.
# * Three outcomes were reported, and nobody knows of how many. One of them is of another disease:
#   the program enrolled coronary patients and counted readmissions for heart failure.
# * The program paid for the number that measures it. HbA1c below 7 % [A-C1R1.hba1c_below] was
#   worth money; when and whom one measures then changes too. Nothing in the figures can show it,
#   and harm (hypoglycemia) was not reported.
# * The paces of England and the United States are examples, not priors for an East Chinese
#   hospital. The ranges of section 8 are opinions with reasons; `ok.AggregatePriors` takes
#   others.
# * The model of the readings is normal, and the correlation over two years is lower than over
#   weeks, which makes regression to the mean larger. The ICC, the population and the risks of
#   section 3 are settings at the top of the notebook: change them and run it again.
#
# ## Provenance and citation

# %% tags=["varies"]
ok.provenance(effect)

# %%
print(ok.cite(effect, exact, style="bibtex"))
