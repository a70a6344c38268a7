"""The functions that a formula may call, and why others may not be.

Everything that is not listed here is refused. What is listed gives one value for each case from
the values of that case alone, or remembers what it learned from the cases that were fitted (knots,
means), so that other cases are encoded alike whatever their number and order.
"""

from collections.abc import Mapping

from outcomekpi.declare.errors import did_you_mean

__all__ = [
    "CONSTANTS",
    "CONTRASTS",
    "ELEMENTWISE",
    "LITERAL_ARGUMENT",
    "TRANSFORMS",
    "WORDS",
    "say_unknown_function",
]

_UNARY = (
    "abs", "absolute", "fabs", "sign", "sqrt", "cbrt", "square", "reciprocal", "log", "log2",
    "log10", "log1p", "exp", "exp2", "expm1", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "floor", "ceil", "rint", "trunc",
    "logical_not",
)  # fmt: skip
_BINARY = (
    "add", "subtract", "multiply", "divide", "power", "mod", "floor_divide", "minimum", "maximum",
    "fmin", "fmax", "arctan2", "hypot", "greater", "greater_equal", "less", "less_equal", "equal",
    "not_equal", "logical_and", "logical_or", "logical_xor",
)  # fmt: skip

ELEMENTWISE: Mapping[str, tuple[int, int]] = {
    **{f"np.{name}": (1, 1) for name in _UNARY},
    # a third argument of these would be written to: numpy's out
    **{f"np.{name}": (2, 2) for name in _BINARY},
    **dict.fromkeys(("log", "log2", "log10", "exp", "exp2", "abs", "I"), (1, 1)),
    "round": (1, 2),
    "np.round": (1, 2),
    "np.clip": (3, 3),
    "np.where": (3, 3),
    "np.isin": (2, 2),
    "np.digitize": (2, 2),
}
"""Function -> fewest and most arguments; each case by itself, no keywords."""

LITERAL_ARGUMENT: Mapping[str, int] = {"np.isin": 1, "np.digitize": 1}
"""Function -> position of the argument that is a written list."""

CONSTANTS = frozenset({"np.pi", "np.e"})

_SPLINE = ("df", "knots", "lower_bound", "upper_bound", "constraints", "extrapolation")
TRANSFORMS: Mapping[str, tuple[str, ...]] = {
    "bs": (
        "df", "knots", "degree", "include_intercept", "lower_bound", "upper_bound",
        "extrapolation",
    ),
    "cr": _SPLINE,
    "cs": _SPLINE,
    "cc": _SPLINE,
    "poly": ("degree", "raw"),
    "center": (),
    "scale": ("center", "scale", "ddof"),
    "standardize": ("center", "rescale", "ddof"),
    "C": ("contrasts", "levels"),
}  # fmt: skip
"""Function -> what may follow its first argument, in order or by name; numbers and words only."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "extrapolation": ("raise", "clip", "na", "zero", "extend"),
    "constraints": ("center",),
}
"""Option -> the words that it knows; every other option takes numbers."""

_TREATMENT, _HELMERT, _DIFF, _POLY = ("base",), ("reverse", "scale"), ("backward",), ("scores",)
CONTRASTS: Mapping[str, tuple[str, ...]] = {
    "contr.treatment": _TREATMENT,
    "contr.SAS": _TREATMENT,
    "contr.sum": (),
    "contr.helmert": _HELMERT,
    "contr.diff": _DIFF,
    "contr.poly": _POLY,
    "Treatment": ("reference",),
    "Sum": (),
    "Helmert": _HELMERT,
    "Diff": _DIFF,
    "Poly": _POLY,
}
"""Coding of categories -> its options; only as the second argument of C."""

_REASONS = {
    "depends on the order of the rows. Compute it as a column of the table": (
        "lag shift np.cumsum np.cumprod np.nancumsum np.diff np.ediff1d np.gradient np.roll "
        "np.sort np.argsort np.flip np.convolve np.arange np.linspace"
    ),
    "depends on chance. Compute it as a column of the table": "sample shuffle permutation",
    "depends on which other rows are in the table. Compute it as a column": (
        "len max min sum any all rank np.mean np.average np.median np.std np.var np.sum np.prod "
        "np.max np.min np.amax np.amin np.ptp np.percentile np.quantile np.unique np.cov "
        "np.corrcoef np.argmax np.argmin np.cross np.dot"
    ),
    "merges categories by chance. Group them in a column of the table": "hashed",
}
REASONS = {name: reason for reason, names in _REASONS.items() for name in names.split()}
REASONS["exp10"] = "is x ** 10 in the formula library, not 10 ** x. Write I(10.0 ** x)"


def say_unknown_function(name: str) -> str:
    """Return why a function cannot be used, to follow the formula in a message."""
    if name in REASONS:
        return f"uses {name}(), which {REASONS[name]}."
    if name.startswith("np.random"):
        return f"uses {name}(), which depends on chance. Compute it as a column of the table."
    known = (*ELEMENTWISE, *TRANSFORMS)
    return (
        f"uses the function {name!r}, which is not known.{did_you_mean(name, known)} Known are "
        "np.log and the like, bs, cr, poly, scale, C and I; compute anything else as a column of "
        "the table."
    )
