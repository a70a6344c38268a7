"""Formulas: what may be written in one, and which columns it uses.

formulaic evaluates a formula as Python. It gets to see only columns, numbers, arithmetic and the
functions listed in ``formula_functions``; whatever else a formula holds is refused before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outcomekpi.declare.errors import FormulaError, did_you_mean
from outcomekpi.model.formula_arguments import RefusedExpression
from outcomekpi.model.formula_expressions import (
    BACKTICKED,
    check_made_names,
    read_expression,
)
from outcomekpi.model.formula_terms import check_operators
from outcomekpi.tables.columns import list_values

__all__ = ["ParsedFormula", "first_line", "parse_formula"]

NAME = re.compile(r"[^\W\d][\w.]*")
LONGEST = 20_000
"""Characters of a formula that is more than a sum of columns."""
LONGEST_SHOWN = 300
COLOR = re.compile(r"\x1b?\[[0-9;]*m|[⧛⧚\x1b]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFormula:
    """A formula that can be read, and whose columns exist.

    Attributes
    ----------
    argument : the argument it came by, for messages
    text : the formula
    columns : columns it uses, in order of appearance
    bare : those of them that are used as they are, outside any function
    is_plain : whether it is a sum of bare columns, which needs no formula library
    """

    argument: str
    text: str
    columns: tuple[str, ...]
    bare: tuple[str, ...]
    is_plain: bool


def parse_formula(text: str | None, columns: Sequence[object], *, argument: str) -> ParsedFormula:
    """Read a formula and find the columns that it uses.

    Parameters
    ----------
    text : right-hand side in formulaic's grammar; None or blank uses no column
    columns : names that exist
    argument : name of the argument, for messages

    Raises
    ------
    FormulaError
        It does not parse, has a left-hand side or no intercept, or names no existing column.
    """
    text = (text or "").strip()
    bare = BACKTICKED.sub("", text)
    if "~" in bare:
        right = text.rpartition("~")[2].strip()
        raise FormulaError(
            f"{argument} is the right-hand side of a formula only; got {text!r}. The outcome is "
            f"named in Cases.from_frame. Write {argument}={right!r}."
        )
    if "|" in bare:
        raise FormulaError(
            f"{argument} must be one sum of terms, without '|'; got {text!r}. Doctors and hospitals"
            " have their random effects in the model already: name them in Cases.from_frame. An "
            "'or' of conditions is np.logical_or(a, b)."
        )
    plain = _plain_names(text)
    if plain is None:
        return _parse_by_formulaic(text, columns, argument)
    for name in plain:
        _require_column(name, columns, argument, text)
    names = tuple(plain)
    return ParsedFormula(argument=argument, text=text, columns=names, bare=names, is_plain=True)


def _plain_names(text: str) -> list[str] | None:
    """Return the columns of a plain sum of columns, or None if it is anything else."""
    if not text:
        return []
    hidden = BACKTICKED.sub(lambda match: "`" + match[1].replace("+", "\0") + "`", text)
    names = []
    for token in (part.strip().replace("\0", "+") for part in hidden.split("+")):
        if token == "1":
            continue
        quoted = BACKTICKED.fullmatch(token)
        if not quoted and not NAME.fullmatch(token):
            return None
        names.append(quoted[1] if quoted else token)
    return list(dict.fromkeys(names))


def _require_column(name: str, columns: Sequence[object], argument: str, text: str) -> None:
    if name == "Intercept":
        raise FormulaError(
            f"{argument}={text!r} uses a column named 'Intercept', the name of the rate of "
            "an average case. Rename the column."
        )
    if name not in columns:
        raise FormulaError(
            f"{argument}={text!r} uses the column {name!r}, which is not in the table."
            f"{did_you_mean(name, columns)} The columns are {list_values(columns, shown=15)}."
        )


def _parse_by_formulaic(text: str, columns: Sequence[object], argument: str) -> ParsedFormula:
    terms = _read_terms(text, columns, argument)
    if not any(str(term) == "1" for term in terms):
        raise FormulaError(
            f"{argument}={text!r} removes the intercept. The model always has one: it is the rate "
            "of an average case. Leave out '0', '-1' or '+0'."
        )
    factors = [factor for term in terms for factor in term.factors]
    bare = [factor.expr for factor in factors if factor.eval_method.value == "lookup"]
    used, functions = [], set()
    try:
        for factor in factors:
            if factor.eval_method.value == "lookup":
                used.append(factor.expr)
            elif factor.eval_method.value == "python":
                expression = read_expression(factor.expr)
                used += expression.columns
                functions |= set(expression.functions)
        python = [factor.expr for factor in factors if factor.eval_method.value == "python"]
        check_made_names(python, used)
    except RefusedExpression as error:
        raise FormulaError(f"{argument}={_shorten(text)!r} {error}") from error
    for name in used:
        _require_column(name, columns, argument, text)
    _check_uses(used, functions, argument, text)
    return ParsedFormula(
        argument=argument,
        text=text,
        columns=tuple(dict.fromkeys(used)),
        bare=tuple(dict.fromkeys(bare)),
        is_plain=False,
    )


def _read_terms(text: str, columns: Sequence[object], argument: str) -> list[Any]:
    from formulaic import Formula

    if len(text) > LONGEST:
        raise FormulaError(
            f"{argument} must have at most {LONGEST:,} characters where it is more than a sum of "
            f"columns; got {len(text):,}. Compute what is long as a column of the table."
        )
    try:
        check_operators(text)
        return list(Formula(text))
    except RefusedExpression as error:
        raise FormulaError(f"{argument}={_shorten(text)!r} {error}") from error
    except Exception as error:  # whatever formulaic trips over, the formula cannot be read
        odd = [str(c) for c in columns if not NAME.fullmatch(str(c)) and str(c) in text]
        hint = f" Write `{odd[0]}` in backticks: it has blanks or signs." if odd else ""
        if odd and "`" in odd[0]:
            hint = f" Rename the column {odd[0]!r}: a name must not hold backticks."
        raise FormulaError(
            f"{argument}={_shorten(text)!r} cannot be read as a formula: {first_line(error)}{hint} "
            "A formula joins terms by '+', such as 'age + sex + bs(charlson, df=4)'."
        ) from error


def _check_uses(used: list[str], functions: set[str], argument: str, text: str) -> None:
    if not used:
        raise FormulaError(
            f"{argument}={_shorten(text)!r} uses no column. Name one, or leave {argument} out."
        )
    for name in functions & set(used):
        raise FormulaError(
            f"{argument}={_shorten(text)!r} uses {name!r} as a function and as a column. Rename "
            "the column."
        )


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def first_line(error: BaseException) -> str:
    """First line of an error message, without colors, as a sentence."""
    line = COLOR.sub("", str(error)).strip().partition("\n")[0].strip()
    return line if line.endswith(".") else f"{line}."
