"""Calls about bars and payers: rules, what they do by chance, reviews, gaming, programs."""

import numpy as np
from golden_worlds import history

import outcomekpi as ok
from outcomekpi import programs

SETTING = ok.Setting(levels=(0.6, 0.85), caseloads=(15, 60), n_units=3, icc=0.05, replicates=500)
ONE_UNIT = ok.Setting(levels=(0.3, 0.6), caseloads=(10, 40), icc=0.05)
NORM = {"mean": 0.68, "sd": 0.08}
AWARD_RULES = {
    "AbsoluteRule": ok.AbsoluteRule(bar=0.7, direction="higher"),
    "PercentileRule": ok.PercentileRule(share=0.25, direction="higher"),
    "PosteriorRule": ok.PosteriorRule(
        bar=0.6, probability=0.8, direction="higher", prior=(0.68, 0.08)
    ),
    "ProportionalRule": ok.ProportionalRule(share=0.5, direction="higher", prior=(0.68, 0.08)),
    "RelativeRule": ok.RelativeRule(factor=1.05, direction="higher"),
}
DECILES = tuple(np.arange(1, 10) / 10)
PAYER_RULES = {
    "AbcRule": programs.AbcRule(),
    "MipsRule": programs.MipsRule(cuts=DECILES),
    "NcqaRule": programs.NcqaRule(rating=4, cuts=(0.2, 0.4, 0.6, 0.8)),
    "QofRule": programs.QofRule(),
    "SrtrRule": programs.SrtrRule(expected_rate=0.5),
    "StarRule": programs.StarRule(cuts=(0.2, 0.4, 0.6, 0.8)),
    "ToppedOutRule": programs.ToppedOutRule(),
    "VbpRule": programs.VbpRule(threshold=0.6, benchmark=0.85),
}


def three_cycles():
    """Events out of 40 of 25 units in three cycles, two replicates."""
    rng = np.random.default_rng(1)
    rate = rng.beta(12, 6, size=(2, 25, 1))
    events = rng.binomial(40, np.broadcast_to(rate, (2, 25, 3)))
    return ok.CycleResults(events=events, trials=np.array(40))


def reviewed(reading="raw_rate", **judgment):
    rule = ok.ReviewRule(reading=reading, target=0.7 if reading == "share_of_doctors" else None)
    return ok.review_thresholds(
        history(), rule, judgment=ok.ReviewJudgment(**judgment), draws=200, seed=1
    )


def rounded_readings():
    rng = np.random.default_rng(1)
    values = (5 + rng.gamma(4, 0.55, 4000)).round(1)
    near = (values > 7) & (values < 7.3) & (rng.random(4000) < 0.4)
    return np.where(near, 6.9, values)


def exceptions(**options):
    rng = np.random.default_rng(1)
    reading = rng.normal(138, 17, 3000).round()
    excepted = rng.random(3000) < np.where(reading >= 140, 0.15, 0.05)
    return ok.exception_jump(reading, excepted, bar=140, **options)


def judged_alone(rule):
    return rule.decide(three_cycles())


RATES = np.random.default_rng(2).beta(12, 6, 120).round(3)
MEMBERS, PATIENTS = np.array([2, 9, 60, 40, 33]), np.array([2, 10, 100, 100, 41])

OPERATING = {
    "operating_characteristics: ReviewRule": lambda: ok.operating_characteristics(
        ok.ReviewRule(reading="raw_rate"), SETTING
    ),
    "operating_characteristics: PosteriorReviewRule": lambda: ok.operating_characteristics(
        ok.PosteriorReviewRule(), SETTING
    ),
    "operating_characteristics: exact, Setting": lambda: ok.operating_characteristics(
        ok.ReviewRule(reading="raw_rate"), ONE_UNIT, method="exact"
    ),
    **{
        f"operating_characteristics: {name}": lambda rule=rule: ok.operating_characteristics(
            rule, SETTING, method="simulated"
        )
        for name, rule in AWARD_RULES.items()
    },
    **{
        f"tabulate_awards: {name}": lambda rule=AWARD_RULES[name]: ok.tabulate_awards(
            rule, **NORM, cases=(25, 100), replicates=200, seed=1
        )
        for name in ("AbsoluteRule", "PercentileRule", "ProportionalRule")
    },
}

DECISIONS = {
    f"{name}": lambda rule=rule: judged_alone(rule)
    for name, rule in (AWARD_RULES | PAYER_RULES | {"ChangeRule": ok.ChangeRule(by=0.1)}).items()
} | {"CycleResults": lambda: three_cycles().rates}

REVIEW = {
    "review_thresholds: hierarchical": lambda: reviewed(),
    "review_thresholds: conjugate": lambda: reviewed(model="conjugate"),
    "review_thresholds: share_of_doctors": lambda: reviewed("share_of_doctors", model="conjugate"),
    "review_thresholds: mean_achievement": lambda: reviewed("mean_achievement", model="conjugate"),
    "ReviewRule": lambda: ok.ReviewRule(reading="raw_rate").decide(three_cycles()),
    "PosteriorReviewRule": lambda: ok.PosteriorReviewRule().decide(three_cycles()),
    "CycleHistory": lambda: vars_of_history(),
}


def vars_of_history():
    """The table that every reading of a history starts from."""
    read = history()
    return {"frame": read.frame, "indicators": len(read.indicators), "units": len(read.units)}


GAMING = {
    "density_test": lambda: ok.density_test(rounded_readings(), 7.0),
    "density_test: heaping": lambda: ok.density_test(
        np.random.default_rng(1).normal(138, 12, 3000).round(), 140, rounding=1, heaping=10
    ),
    "exception_jump": lambda: exceptions(),
    "exception_jump: doctor": lambda: exceptions(doctor=np.arange(3000) % 40),
    "rewards_without_effect": lambda: ok.rewards_without_effect(
        ok.ChangeRule(by=0.1), ok.Setting(levels=(0.6,), caseloads=(25, 100), icc=0.05)
    ),
    "expected_regression": lambda: ok.expected_regression([0.4, 0.7, 0.9], worst=0.25),
    "improvement_by_chance": lambda: [
        ok.improvement_by_chance([0.4, 0.7], by=0.5, worst=worst) for worst in (None, 0.25)
    ],
    "regression_share": lambda: ok.regression_share(
        [0.5, 1.0], reliability=0.4, worst=0.25, sd=1.0
    ),
}

PROGRAMS = {
    "abc_benchmark": lambda: programs.abc_benchmark(MEMBERS, PATIENTS),
    "hrrp_excess_ratio": lambda: programs.hrrp_excess_ratio([22.0, 18.0], [20.0, 21.0]),
    "hrrp_peer_groups": lambda: programs.hrrp_peer_groups([0.1, 0.2, 0.3, 0.4, 0.5]),
    "hrrp_peer_medians": lambda: programs.hrrp_peer_medians(
        [[0.9], [1.1], [1.3]], peer_group=[1, 1, 2]
    ),
    "hrrp_adjustment": lambda: programs.hrrp_adjustment(
        [[1.2], [1.0], [0.8]],
        discharges=[[50]] * 3,
        payments=[[10]] * 3,
        total_payments=[100] * 3,
        dual_share=[0.1, 0.1, 0.1],
        groups=1,
    ),
    "minimum_savings_rate": lambda: programs.minimum_savings_rate([5_000, 7_500, 80_000]),
    "mssp_shared_savings": lambda: programs.mssp_shared_savings(100.0, [98.0, 96.0, 70.0], 10_000),
    "mips_benchmark": lambda: programs.mips_benchmark(RATES),
    "mips_points": lambda: programs.mips_points([0.035, 0.36, 0.74, 0.90], cuts=DECILES),
    "mips_topped_out": lambda: programs.mips_topped_out(RATES, kind="process"),
    "ncqa_percentiles": lambda: programs.ncqa_percentiles(RATES),
    "ncqa_rating": lambda: programs.ncqa_rating([0.0999, 0.1, 0.9], cuts=[0.1, 0.3, 0.6, 0.9]),
    "ncqa_overall": lambda: programs.ncqa_overall([5, 3], kinds=("process", "outcome")),
    "qof_achievement": lambda: programs.qof_achievement([60, 30], [100, 45], adjusted=[20, 5]),
    "qof_points": lambda: programs.qof_points([0.3, 0.55, 0.8], points=10),
    "qof_pounds": lambda: programs.qof_pounds([10, 3.5]),
    "source_a_base": lambda: programs.source_a_base([6.9, 6.9, 7.0], [7.7, 7.5, 9.0]),
    "source_a_bonus": lambda: programs.source_a_bonus(
        [np.nan, 100, np.nan], followed_days=[400, 400, 90]
    ),
    "source_a_team": lambda: programs.source_a_team([[135] * 6, [135] * 5 + [140]], [[80] * 6] * 2),
    "source_b_score": lambda: programs.source_b_score([90, 90], [80, 80], vetoed=[False, True]),
    "srtr_flag": lambda: programs.srtr_flag([3, 10, 12], 6.0),
    "srtr_hazard_ratio": lambda: programs.srtr_hazard_ratio([3, 10], 6),
    "srtr_probability": lambda: programs.srtr_probability([3, 10], 6, beyond=1.2),
    "srtr_tiers": lambda: programs.srtr_tiers([3, 10], [6, 6], cuts=(0.6, 0.85, 1.15, 1.6)),
    "star_cut_points": lambda: programs.star_cut_points(RATES),
    "star_cut_spread": lambda: programs.star_cut_spread(RATES, splits=5),
    "star_ratings": lambda: programs.star_ratings([0.1, 0.6, 0.95], cuts=[0.4, 0.6, 0.8, 0.9]),
    "vbp_achievement_points": lambda: programs.vbp_achievement_points(
        [0.55, 0.6, 0.68, 0.86], threshold=0.6, benchmark=0.85
    ),
    "vbp_improvement_points": lambda: programs.vbp_improvement_points(
        [0.55, 0.6, 0.68], 0.43, benchmark=0.85
    ),
    "vbp_points": lambda: programs.vbp_points(
        [0.55, 0.6, 0.68, 0.86], 0.43, threshold=0.6, benchmark=0.85
    ),
    "vbp_thresholds": lambda: programs.vbp_thresholds(RATES),
}

ROOMS = {
    "operating": OPERATING,
    "decisions": DECISIONS,
    "review": REVIEW,
    "gaming": GAMING,
    "programs": PROGRAMS,
}
SLOW = set()
