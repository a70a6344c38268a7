"""Rule library: programs that set bars with money behind them, each a few pure functions."""

from outcomekpi.programs.abc_benchmark import AbcBenchmark, AbcRule, abc_benchmark
from outcomekpi.programs.hrrp import (
    hrrp_adjustment,
    hrrp_excess_ratio,
    hrrp_peer_groups,
    hrrp_peer_medians,
)
from outcomekpi.programs.mips import (
    MipsRule,
    ToppedOut,
    ToppedOutRule,
    mips_benchmark,
    mips_points,
    mips_topped_out,
)
from outcomekpi.programs.mssp import minimum_savings_rate, mssp_shared_savings
from outcomekpi.programs.ncqa import (
    NcqaRule,
    ncqa_overall,
    ncqa_percentiles,
    ncqa_rating,
)
from outcomekpi.programs.qof import QofRule, qof_achievement, qof_points, qof_pounds
from outcomekpi.programs.sources import (
    source_a_base,
    source_a_bonus,
    source_a_team,
    source_b_score,
)
from outcomekpi.programs.srtr import (
    SrtrRule,
    srtr_flag,
    srtr_hazard_ratio,
    srtr_probability,
    srtr_tiers,
)
from outcomekpi.programs.star_spread import StarSpread, star_cut_spread
from outcomekpi.programs.stars import (
    StarCutPoints,
    StarRule,
    star_cut_points,
    star_ratings,
)
from outcomekpi.programs.vbp import (
    VbpRule,
    VbpThresholds,
    vbp_achievement_points,
    vbp_improvement_points,
    vbp_points,
    vbp_thresholds,
)

__all__ = [
    "AbcBenchmark",
    "AbcRule",
    "MipsRule",
    "NcqaRule",
    "QofRule",
    "SrtrRule",
    "StarCutPoints",
    "StarRule",
    "StarSpread",
    "ToppedOut",
    "ToppedOutRule",
    "VbpRule",
    "VbpThresholds",
    "abc_benchmark",
    "hrrp_adjustment",
    "hrrp_excess_ratio",
    "hrrp_peer_groups",
    "hrrp_peer_medians",
    "minimum_savings_rate",
    "mips_benchmark",
    "mips_points",
    "mips_topped_out",
    "mssp_shared_savings",
    "ncqa_overall",
    "ncqa_percentiles",
    "ncqa_rating",
    "qof_achievement",
    "qof_points",
    "qof_pounds",
    "source_a_base",
    "source_a_bonus",
    "source_a_team",
    "source_b_score",
    "srtr_flag",
    "srtr_hazard_ratio",
    "srtr_probability",
    "srtr_tiers",
    "star_cut_points",
    "star_cut_spread",
    "star_ratings",
    "vbp_achievement_points",
    "vbp_improvement_points",
    "vbp_points",
    "vbp_thresholds",
]
