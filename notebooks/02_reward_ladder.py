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
# # Whom does a reward ladder pay? A-CASE1 on a synthetic hospital
#
# **In short.** A hospital pays for three outcomes: points to the attending doctor for HbA1c,
# points to the team for blood pressure, a bonus to the responsible doctor for no readmission. We
# apply the rule to a synthetic hospital in which the program truly does what was published for
# it, and in which the true quality of every doctor is known.
#
# - **Much is paid for nothing.** Without any program, the same patients with the same luck would
#   have earned 14 % of the HbA1c points, 38 % of the pressure points and 96 % of the readmission
#   bonuses.
# - **Much is luck.** Between two cohorts of patients of the same doctors, the HbA1c points per
#   patient correlate with 0.55. The readmission bonuses correlate with 0.08.
# - **Those who need it most earn nothing.** 52 % of the HbA1c points are for patients who were on
#   target before. Of 315 patients with 9 % or more, 3 earned a point.
# - **Sick patients cost their doctor money.** Where all doctors are exactly equally good, the
#   fifth with the sickest patients gets 14 %, 29 % and 27 % less per patient. Four facts that
#   every record holds (age, sex, comorbidity, socio-economic status) remove nearly all of it.
# - **Statistics mend some of this, not all.** Adjusted and shrunken, pay per patient
#   misallocates 1.2 % of the readmission money in place of 7.7 %. An all-or-nothing bonus gives
#   about half of that money to the wrong doctors, whichever rate it reads. Payment by posterior
#   probability does not give less to the wrong ones. It moves less money between two cohorts in
#   which no doctor changed: 13 % of the budget in place of 37 %.
#
# A simulation cannot say what happened in the real hospital. It says what such a rule does where
# the truth is known, and so what one would have to know before paying by it.

# %% tags=["parameters"]
SEED = 20261
MANY_DOCTORS = 400  # where a correlation or a slope over doctors must not be luck itself
SORTING = 0.9  # difficult patients go to senior doctors: correlation of need and seniority
HOSPITALS = 8  # repetitions with new doctors and new patients
DRAWS = 1000
BUDGET = 100.0  # so that money reads as a share of the budget
CASE_MIX = "age + sex + comorbidity + ses"

# %% tags=["varies"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import outcomekpi as ok

pd.set_option("display.max_colwidth", None, "display.width", 120, "display.max_columns", 12)
ok.provenance(executed_with="executed_with.json")

# %% [markdown]
# ## Question
#
# The rule, in the words of the source:

# %%
figures = ok.datasets.load_documented_figures()
for rule in ("A-C1R1.drop", "A-C1R2.months", "A-C1R3.years"):
    print(figures.loc[rule, "quotation"], "\n   ", figures.loc[rule, "english"])

# %% [markdown]
# That is: HbA1c below 7 % [A-C1R1.hba1c_below] and down by 0.8 [A-C1R1.drop]; blood pressure
# below 140 [A-C1R2.sbp_below] / 90 [A-C1R2.dbp_below] mmHg in 6 [A-C1R2.months] months in a row; no
# readmission for heart failure within 1 [A-C1R3.years] year. Three criteria side by side, with
# three payees. **Whom does it pay, and for what?**
#
# ## Data
#
# No patient data of that hospital are public. The data here are simulated: 40 doctors, 6,000
# patients, two years. The numbers behind them are in `ok.scenario_codebook()`, each with a
# source or the word "assumption". The preset solves for the one baseline that was published,
# 43 % [A-C1E1.before] below 7 % [A-C1R1.hba1c_below], and for a program whose *true* effect is the
# published one: 68 % [A-C1E1.after] after two years, blood pressure control up by
# 27 points [A-C1E2], admissions down by 34 % [A-C1E3], read as a ratio.

# %%
scenario = ok.tertiary_hospital(program="published")
hospital = ok.simulate_population(scenario, seed=SEED)
print(hospital)
hospital.truth.program.query("effect != null").round(2)

# %%
measured = hospital.measurements.merge(hospital.patients, on="patient")
diabetics = measured[measured["diabetes"] & measured["hba1c"].notna()]
controlled = (diabetics["hba1c"] < 7).groupby(diabetics["month"]).mean().loc[[0, 12, 24]]
assert " ".join(f"{share:.0%}" for share in controlled) == "45% 69% 70%"
controlled.round(3)

# %% [markdown]
# The shares on target are 45 % at month 0 and 70 % at month 24; the two points above the published
# ones are the luck of this one draw of patients. What no real hospital has, and this one has, is
# the truth: each doctor's quality, each patient's severity.
#
# ## Model: the rule as code
#
# The rule leaves open almost everything that a computer must be told. Each choice is an argument
# of the rule; these are the ones made here:

# %%
value = figures["value"]
ladder = ok.reward_ladder(
    hba1c_below=value["A-C1R1.hba1c_below"],
    drop=value["A-C1R1.drop"],
    sbp_below=value["A-C1R2.sbp_below"],
    dbp_below=value["A-C1R2.dbp_below"],
    months=value["A-C1R2.months"],
    years=value["A-C1R3.years"],
)
for rule in ladder:
    print(f"{rule.name}, {rule.unit} to the {rule.payee}:\n    {rule.goal}")


# %%
def records_of(world):
    tables = {"patients": world.patients, "measurements": world.measurements}
    return ok.PatientRecords(**tables, encounters=world.encounters, months=world.scenario.months)


def judge(world):
    verdicts = ok.assess_tiers(records_of(world), ladder).verdicts
    table = verdicts.merge(world.patients, on="patient")
    return table.assign(reached=(table["verdict"] == "reached").astype(int))


records = records_of(hospital)
tiers = ok.assess_tiers(records, ladder)
payout = ok.pay(tiers)
tiers.to_frame().round(3)

# %%
hba1c, pressure, readmission = (rule.goal for rule in ladder)
other_readings = {
    "HbA1c: as declared": hba1c,
    "HbA1c: down by 0.8 % of the baseline": replace(hba1c, drop=hba1c.drop / 100, relative=True),
    "HbA1c: any reading of the year may pass": replace(hba1c, judged="any"),
    "pressure: as declared": pressure,
    "pressure: a missing month is skipped": replace(pressure, missing_month="skipped"),
    "pressure: a missing month passes": replace(pressure, missing_month="passes"),
    "pressure: the last six months of the year": replace(pressure, within="last"),
    "readmission: as declared": readmission,
    "readmission: who dies is left out": replace(readmission, death="excluded"),
    "readmission: who dies was not readmitted": replace(readmission, death="reached"),
    "readmission: the year opens with an admission": replace(readmission, since="first event"),
}
verdicts = {n: g.judge(records)["verdict"].value_counts() for n, g in other_readings.items()}
by_reading = pd.DataFrame(verdicts).T.fillna(0).astype(int)
by_reading = by_reading[["reached", "not reached", "not assessable"]]
by_reading

# %%
reached = by_reading["reached"].to_numpy()
assert list(reached[:3]) == [1181, 1851, 1708] and list(reached[3:7]) == [891, 1152, 1573, 477]
assert list(reached[7:]) == [630, 630, 833, 45]
assert f"{reached[5] / reached[6]:.1f}" == "3.3"
assert by_reading["not assessable"].iloc[8] == 203

# %% [markdown]
# The words "six months in a row" pay between 477 and 1,573 patients, a factor of 3.3, depending
# on what a missing month means and whether any six months count or the last ones: the patients
# are the same. The words "not readmitted" pay 833 bonuses if they are taken by the letter: 203
# of them for patients who died. A year that opens with an admission, which is what *re*admission
# means, leaves 45 payments, because few of the patients with heart failure were admitted at all
# in the first of the two years. **Words that pay three times as much in one reading as in another
# are not yet a rule.**
#
# ## Who is rewarded
#
# The first tier by the patients' HbA1c before the program:

# %%
first_tier = judge(hospital).query("tier == @ladder[0].name and verdict != 'not assessable'")
at_entry = diabetics.query("month == 0").set_index("patient")["hba1c"]
before = at_entry.reindex(first_tier["patient"]).to_numpy()
names = ["below 7", "7 to 7.8", "7.8 to 9", "9 and more"]
band = pd.cut(before, [0, 7, 7.8, 9, 20], right=False, labels=names)
by_band = first_tier.groupby(band, observed=True)["reached"].agg(["size", "sum", "mean"])
by_band["share of points"] = by_band["sum"] / by_band["sum"].sum()
by_band.rename_axis("HbA1c at month 0 (%)").round(2)

# %%
assert f"{by_band['share of points'].iloc[0]:.0%}" == "52%"
assert (by_band["size"].iloc[3], by_band["sum"].iloc[3]) == (315, 3)
assert f"{hba1c.below + hba1c.drop:.1f} {7.2 - hba1c.drop:.1f}" == "7.8 6.4"

# %% [markdown]
# 52 % of the points are earned by patients who were below 7 % before, and 3 points by the 315 who
# began at 9 % or more. The two conditions together make the criterion easiest for those who
# begin between 7 % and 7.8 %. Whoever begins at 7.2 % must reach 6.4 %. A doctor who knows the
# rule knows whom to enroll and whom to leave to others. (In this simulation the program lowers
# everybody's HbA1c alike. A real one lowers high values more, and the first line would be less
# extreme; that the criterion asks for nothing else than a fall in patients who are on target, and
# gives nothing for the long way from 11 % to 8 %, is in the rule and not in the simulation.)
#
# And by doctor:

# %%
own = payout.to_frame().query("tier == @ladder[0].name").set_index("payee")
quality = hospital.truth.doctors["hba1c"].reindex(own.index)
per_patient = own["amount"] / own["eligible"]
links = {
    "points and number of patients": np.corrcoef(own["eligible"], own["amount"])[0, 1],
    "points and true quality": np.corrcoef(quality, own["amount"])[0, 1],
    "points per patient and true quality": np.corrcoef(quality, per_patient)[0, 1],
}
assert " ".join(f"{r:.2f}" for r in links.values()) == "0.91 0.24 0.86"
assert (own["amount"].min(), own["amount"].max()) == (4, 85)
pd.Series(links).round(2)

# %% [markdown]
# The doctors earn between 4 and 85 points. Points go with the number of patients ($r$ = 0.91), and
# hardly with quality (0.24). That need not be wrong: who treats more patients does more. But a
# ranking of doctors by points is a ranking of caseloads. Points *per patient* do go with quality
# (0.86): in this tier, and in this hospital, there is something to be measured.
#
# What happens to those who earned, in the year after?

# %%
year_two = {
    "still on target and down, by the first baseline": replace(hba1c, window=24),
    "down again, from a baseline of year 1": replace(hba1c, start=12),
}
first_year = tiers.verdicts.query("tier == @ladder[0].name").set_index("patient")["verdict"]
winners = first_year.index[first_year == "reached"]
later = {n: (g.judge(records)["verdict"][winners] == "reached").sum() for n, g in year_two.items()}
assert (len(winners), *later.values()) == (1181, 855, 52)
assert f"{855 / 1181:.0%} {52 / 1181:.0%}" == "72% 4%"
pd.Series({"reached in year 1": len(winners), **later})

# %% [markdown]
# That is the whipped ox (鞭打快牛) in its plainest form: if each year begins with a new baseline,
# 4 % of the successes of the first year earn again in the second, though 72 % are still where the
# rule wanted them. The better the first year, the harder the second.
#
# ## Check 1: how much of it is luck?
#
# **What would have been paid anyway.** The same hospital, patients and luck, without the program;
# beside it, without simulating anything, what `ok.reached_by_chance` expects if no true level
# changed after month 0: normal levels, the known scatter of readings, regression to the mean.

# %%
no_program = ok.simulate_population(ok.tertiary_hospital(), seed=SEED)
unpaid = records_of(no_program)
scatter = {name: getattr(scenario, name).sd_within for name in ("hba1c", "sbp", "dbp")}
together = {"within_sd": scatter, "correlation": scenario.pressure_correlation}
by_chance = [ok.reached_by_chance(goal, unpaid, **together) for goal in (hba1c, pressure)]
anyway = pd.DataFrame({"with the program": tiers.to_frame()["reached"]})
anyway["without"] = ok.assess_tiers(unpaid, ladder).to_frame()["reached"]
anyway["no true change"] = [*(c.to_frame()["expected"].iloc[0] for c in by_chance), np.nan]
anyway["paid anyway"] = anyway["without"] / anyway["with the program"]
anyway.round({"no true change": 0, "paid anyway": 2})

# %%
assert " ".join(f"{share:.0%}" for share in anyway["paid anyway"]) == "14% 38% 96%"
assert list(anyway["without"]) == [167, 336, 602]
assert [f"{x:.0f}" for x in anyway["no true change"][:2]] == ["134", "338"]
spreads = {0.3: "3%", 0.4: "8%", 0.5: "13%"}
for sd, chance in spreads.items():
    luck = ok.DropCriterion(drop=hba1c.drop, within_sd=sd).pass_probability(8)
    assert f"{float(luck):.0%}" == chance

# %% [markdown]
# 167 HbA1c points, 336 pressure points and 602 bonuses would have been paid for patients whom the
# program never reached: 14 %, 38 % and 96 %. Without a true change in anybody, 134 and 338 would be
# expected in the first two: scatter of readings, and pressures that were good already. (The
# hospital without a program has some true change: courses drift, and patients come into the care
# of better or worse doctors.) A fall of 0.8 [A-C1R1.drop] points in a patient who did not change
# at all happens in 3 %, 8 % or 13 % of patients for a within-person standard deviation of 0.3, 0.4
# or 0.5. The third tier pays for what most patients do anyway, which is not to be admitted.
#
# **Would the same doctors be paid again?** Give each doctor two cohorts of patients in the same
# year, so that his true quality is the same by construction. 400 doctors, so that the
# correlation is not luck itself.

# %%
year = replace(scenario, months=12)
larger = replace(year.doctors, doctors=MANY_DOCTORS, patients_per_doctor=300)
many = judge(ok.simulate_population(replace(year, doctors=larger), seed=SEED))
cohort = many["patient"] % 2 + 1
cohorts = many.groupby(["tier", "payee", cohort])["reached"].mean().unstack()
repeat = cohorts[1].groupby("tier").corr(cohorts[2])
assert " ".join(f"{r:.2f}" for r in repeat) == "0.55 0.63 0.08"
sizes = many.groupby(["tier", "payee", cohort]).size().groupby("tier").mean()
needed = sizes * (0.7 / 0.3) * (1 - repeat) / repeat  # Spearman and Brown
assert " ".join(f"{n:.0f}" for n in sizes) == "75 359 23"
assert f"{needed.iloc[0]:.0f}" == "143" and 300 < needed.iloc[2] < 1000
pd.DataFrame(
    {"correlation": repeat, "patients in a cohort": sizes, "needed for 0.7": needed}
).round(2)

# %%
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.5))
for ax, rule in zip(axes, ladder, strict=True):
    points = cohorts.loc[rule.name]
    ax.plot(points[1], points[2], ".", color="0.35", markersize=3)
    ax.axline((points[1].mean(), points[1].mean()), slope=1, color="black", linewidth=0.8)
    ax.set(
        title=f"{rule.name}\nr = {repeat[rule.name]:.2f}",
        xlabel="share of patients paid, one cohort",
    )
axes[0].set_ylabel("share paid, other cohort")
fig.tight_layout()
plt.show()

# %% [markdown]
# Each point is a payee: an attending doctor, a team (100 of them), a responsible doctor. Points on
# the line were paid alike for both cohorts. The correlation is the reliability of the reward:
# 0.55 for HbA1c, with 75 patients a doctor; 0.63 for pressure, with 359 patients a team; and 0.08
# for readmission, with 23 patients a doctor and doctors who truly differ little. For a
# reliability of 0.7 a doctor would need some 143 diabetics, and several hundred patients with
# heart failure. The third bonus is a lottery whose tickets are patients.
#
# ## Check 2: who is punished for sick patients?
#
# Now a hospital in which **all doctors are exactly equally good**, and in which difficult patients
# go to the senior doctors, as they should (the correlation of need with seniority is set to 0.9).
# Every difference in pay per patient is then luck, or the patients. First the patients, by their
# true severity:

# %%
equal = {n: replace(getattr(year, n), sd_doctor=0.0) for n in ("hba1c", "sbp", "dbp", "events")}
referral = replace(year.doctors, sorting=SORTING)
everyone = replace(referral, doctors=MANY_DOCTORS)
alike = ok.simulate_population(replace(year, doctors=everyone, **equal), seed=SEED)
judged = judge(alike)
judged["severity"] = alike.truth.patients["severity"].reindex(judged["patient"]).to_numpy()
fifth = pd.qcut(judged["severity"], 5, labels=["healthiest", "2", "3", "4", "sickest"])
by_severity = judged.groupby(["tier", fifth], observed=True)["reached"].mean().unstack()
assert [f"{x:.0%}" for x in by_severity.iloc[1, [0, 4]]] == ["42%", "11%"]
by_severity.round(2)


# %% [markdown]
# A team gets its pressure points for 42 % of the healthiest patients and for 11 % of the sickest.
# Now by payee: those whose patients are sickest on average (a fifth of them) against those whose
# patients are healthiest; pay per patient as it is, adjusted for what the record holds (observed
# over expected), and adjusted for the true severity as well, which only a simulation can do.


# %%
def cases_of(table):
    counted = table[table["verdict"] != "not assessable"]
    return ok.Cases.from_frame(counted, outcome="reached", doctor="payee", direction="higher")


def observed_over_expected(table, case_mix):
    spec = ok.ModelSpec(case_mix=case_mix)
    rates = ok.standardize(ok.fit(cases_of(table), spec, draws=200, seed=SEED))
    return rates.observed / rates.to_frame()["expected"]


def sickest_against_healthiest(pay, severity):
    fifths = pay.groupby(pd.qcut(severity, 5, labels=False).to_numpy()).mean()
    return fifths.iloc[-1] / fifths.iloc[0] - 1


gaps, panels = {}, {}
for rule in ladder:
    own = judged[judged["tier"] == rule.name]
    severity = own.groupby("payee")["severity"].mean()
    counted = own[own["verdict"] != "not assessable"]
    per_patient = counted.groupby("payee")["reached"].mean()
    ratios = {"raw": per_patient / per_patient.mean()}
    ratios["adjusted for the record"] = observed_over_expected(own, CASE_MIX)
    ratios["and for true severity"] = observed_over_expected(own, f"{CASE_MIX} + severity")
    gaps[rule.name] = {n: sickest_against_healthiest(x, severity) for n, x in ratios.items()}
    panels[rule.name] = severity, ratios
gaps = pd.DataFrame(gaps).T
(100 * gaps).round(0).astype(int)

# %%
assert [f"{x:.0%}" for x in gaps["raw"]] == ["-14%", "-29%", "-27%"]
assert f"{gaps['adjusted for the record'].abs().max():.0%}" == "5%"
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.5), sharey=True)
for ax, (name, (severity, ratios)) in zip(axes, panels.items(), strict=True):
    ax.plot(severity, ratios["raw"], ".", color="0.7", markersize=3)
    for kind, style in (("raw", "-"), ("adjusted for the record", "--")):
        line = np.polyfit(severity, ratios[kind], 1)
        ax.plot(
            severity.sort_values(),
            np.polyval(line, severity.sort_values()),
            style,
            color="black",
            label=kind,
        )
    ax.set(title=name, xlabel="mean severity of patients (SD)")
axes[0].set_ylabel("pay per patient / mean")
axes[0].legend(frameon=False)
fig.tight_layout()
plt.show()

# %% [markdown]
# With equal quality, the payees with the sickest patients get 14 %, 29 % and 27 % less (solid
# lines; each point is a payee). Adjusted for four facts of the record, at most 5 % are left
# (dashed). That works here because patients are sent to senior doctors for a reason that the
# record holds, their comorbidity. If they were sent for something that nobody writes down, no
# adjustment could see it.
#
# ## Answer: what adjustment and payment by probability change
#
# Three ways to divide a budget, each from the posterior that `ok.fit` gives a hospital of what it
# can see:
#
# * **per patient**: in proportion to the patients who reached the goal, as counted ("raw"),
#   risk-adjusted ("O/E"), or risk-adjusted and shrunken ("posterior");
# * a **bonus**: the same sum to every doctor whose rate is above the hospital's ("threshold"),
#   again by any of the three rates;
# * **by probability**: in proportion to the posterior probability that the true rate is above the
#   hospital's (after Shwartz and others, 2014).
#
# First one hospital, to see what the last two do. Difficult patients go to senior doctors as
# before; the doctors differ in quality again.


# %%
def rates_of(table, seed):
    spec = ok.ModelSpec(case_mix=CASE_MIX)
    return ok.standardize(ok.fit(cases_of(table), spec, draws=DRAWS, seed=seed))


def ways(target):
    seen = ("raw", "O/E", "posterior")
    linear = [ok.RatePayRule(by="cases", seen=s, budget=BUDGET) for s in seen]
    bonus = [ok.RatePayRule(by="threshold", target=target, seen=s, budget=BUDGET) for s in seen]
    return [*linear, *bonus, replace(bonus[-1], by="probability")]


year_of_both = replace(year, doctors=replace(referral, patients_per_doctor=300))
one_hospital = judge(ok.simulate_population(year_of_both, seed=SEED)).query("patient % 2 == 0")
rates = rates_of(one_hospital.query("tier == @ladder[0].name"), SEED)
bonus, by_probability = (ok.pay_rates(rates, way) for way in ways(rates.reference_rate)[-2:])
print(bonus, by_probability, sep="\n")

# %%
frame = bonus.to_frame().sort_values("mean")
fig, ax = plt.subplots(figsize=(6.4, 3.8))
ax.plot(frame["mean"], frame["pay"], "s", color="0.65", markersize=5, label="bonus")
ax.plot(
    frame["mean"],
    by_probability.pay[frame.index],
    "o",
    color="black",
    markersize=4,
    label="by probability",
)
ax.axvline(rates.reference_rate, color="black", linewidth=0.8, linestyle="--")
ax.set(
    xlabel="risk-standardized rate of HbA1c successes (posterior mean)",
    ylabel="pay (% of the budget)",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Each doctor stands twice above his rate. The bonus (squares) is a cliff at the hospital's rate
# (dashed): doctors whom nobody can tell apart get everything or nothing. Payment by probability
# (dots) climbs where the bonus jumps.
#
# Now 8 hospitals, each with two cohorts of patients of the same doctors. **Deserved** pay is
# what the same division would give if the true standardized rates were known: in proportion to
# patients times true rate for pay per patient, the same sum to every doctor truly above the
# hospital's rate for the other two. **Misallocated** is what is paid above that, in % of the
# budget; **by the posterior** is the same as a hospital would estimate it, without the truth;
# **swing** is the money that would move from some doctors to others if the other cohort were paid.
# The two notions of deserved pay are not to be compared with each other: rows of one kind are.

# %%
goals = {
    ladder[0].name: ok.ReadingBelow(below=hba1c.below, drop=hba1c.drop),
    ladder[2].name: ok.AdmissionFree(),
}


def misallocated(paid, truth):
    return ok.misallocate(paid, truth=truth).to_frame().loc["overpaid", "mean"]


results = []
for seed in range(SEED, SEED + HOSPITALS):
    world = ok.simulate_population(year_of_both, seed=seed)
    table = judge(world)
    for tier, goal in goals.items():
        own, ratio = table[table["tier"] == tier], ok.true_rates(world, goal)["ratio"]
        halves = [rates_of(own[own["patient"] % 2 == half], seed) for half in (0, 1)]
        paid = [[ok.pay_rates(r, way) for way in ways(r.reference_rate)] for r in halves]
        for one, other in zip(*paid, strict=True):
            swing = (one.pay - other.pay).abs().sum() / 2
            for half in (one, other):
                known = misallocated(half, ratio * half.rates.reference_rate)
                believed = misallocated(half, None)
                results.append((tier, one.rule.by, one.rule.seen, known, believed, swing))
columns = ["tier", "pay by", "seen", "misallocated", "by the posterior", "swing"]
study = pd.DataFrame(results, columns=columns).groupby(["tier", "pay by", "seen"], sort=False)
table = study.mean()
table.round(1)

# %%
hba1c_pay, readmission_pay = (table.loc[tier] for tier in goals)
per_patient = [
    x.loc["cases", "misallocated"].map("{:.1f}".format) for x in (hba1c_pay, readmission_pay)
]
assert [" ".join(x) for x in per_patient] == ["6.0 5.6 4.4", "7.7 5.2 1.2"]
bonuses = [x.loc["threshold", "misallocated"] for x in (hba1c_pay, readmission_pay)]
assert [f"{x.min():.0f} {x.max():.0f}" for x in bonuses] == ["26 26", "48 49"]
probable = [x.loc[("probability", "posterior")] for x in (hba1c_pay, readmission_pay)]
assert [f"{x['misallocated']:.0f} {x['swing']:.0f}" for x in probable] == ["32 22", "49 13"]
assert [f"{x.loc[('threshold', 'raw'), 'swing']:.0f}" for x in (hba1c_pay, readmission_pay)] == [
    "32",
    "37",
]
assert f"{readmission_pay.loc[('threshold', 'posterior'), 'swing']:.0f}" == "55"
assert (table["misallocated"] - table["by the posterior"]).abs().max() < 6
error = study["misallocated"].sem()
assert f"{error.xs('cases', level='pay by').max():.1f} {error.max():.1f}" == "0.3 2.4"

# %%
labels = ["per patient, raw", "per patient, adjusted", "per patient, shrunken", "bonus, raw"]
labels += ["bonus, adjusted", "bonus, shrunken", "by probability"]
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
for ax, tier in zip(axes, goals, strict=True):
    rows, at = table.loc[tier], np.arange(7)[::-1]
    ax.barh(at + 0.2, rows["misallocated"], 0.36, color="0.25", label="misallocated")
    ax.barh(at - 0.2, rows["swing"], 0.36, color="0.75", label="moves between two cohorts")
    ax.set(title=tier, xlabel="% of the budget", xlim=(0, 62))
    ax.set_yticks(at, labels)
axes[1].legend(frameon=False, loc="upper right")
fig.tight_layout()
plt.show()

# %% [markdown]
# The figure shows the same table. What it says:
#
# * **Per patient.** As counted, 6.0 % of the HbA1c money and 7.7 % of the readmission money
#   goes elsewhere than deserved. Risk adjustment makes it 5.6 % and 5.2 %, shrinkage 4.4 % and
#   1.2 %. In the third tier doctors truly differ little; the best guess for each of them is nearly
#   the mean, and to pay everybody nearly the mean is nearly right. (Standard errors 0.3 and
#   less.)
# * **The bonus.** 26 % and 48 to 49 % of the money is misallocated, and no adjustment helps
#   (standard errors up to 2.4). A coin would reach about half. What is wrong with it is not the
#   rate but the bar: many doctors are near it, and on which side they fall is chance.
# * **By probability.** 32 % and 49 %: not less than the bonus. It pays something to everybody who
#   may deserve it, and so also to those who do not. But 22 % of the budget would move with the
#   other cohort in place of 32 %, and 13 % in place of 37 % in the third tier. Nobody's pay hangs
#   on one patient. And it is honest about what is known: where nothing is known, it pays all
#   alike.
# * **Stability is not fairness.** By the raw rate the third tier's bonus moves less (37 %) than by
#   the adjusted and shrunken one (55 %), because it pays for the same healthy patients twice.
# * **A hospital can know this without the truth.** What the posterior expects to be misallocated
#   lies within 6 points of what is.
#
# ### What to do with such a ladder
#
# 1. Write down the readings before the first payment: baseline, missing months, death, window.
# 2. Do not ask for a fall from those who are on target, nor for the target from those who are far
#    from it. Do not begin each year with a new baseline.
# 3. Do not pay single doctors for heart-failure readmissions. Pay the department, or nobody.
# 4. Pay per patient, risk-adjusted and shrunken, and leave out the bar. Where a bar must be, pay by
#    probability: not because it hits better, but because it does not pretend to.
# 5. Before paying anybody, simulate a year in which nothing improves, and look at what the rule
#    pays.
#
# ## Caveats
#
# * The hospital is invented. The shares depend on how much doctors truly differ, on caseloads and
#   on the scatter of readings: all are knobs with a source or the word "assumption"
#   (`ok.scenario_codebook()`). With other knobs other numbers come out.
# * The program lowers everybody alike, doctors cheat nobody, patients do not react to the rule.
#   Selection of patients and gaming would come on top.
# * Readings of a patient are independent given his level. If they were alike from month to
#   month, runs of six months would be less a matter of luck.
# * "Deserved" is a definition, given above. Whether pay should follow outcomes at all is no
#   question for a simulation.
# * Adjustment can take out what the record holds. The sorting here is by comorbidity, which it
#   holds.
#
# ## Provenance and citation

# %% tags=["varies"]
ok.provenance()

# %% tags=["varies"]
print(ok.cite(hospital, payout, by_chance[0], by_probability, ok.misallocate(by_probability)))
