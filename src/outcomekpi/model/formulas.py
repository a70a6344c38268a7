"""Formulas: what may be written in one, and which columns it uses.

formulaic evaluates a formula as Python. It gets to see only columns, numbers, arithmetic and the
functions listed in ``formula_functions``; whatever else a formula holds is refused before.
"""

import re
import unicodedata
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
from outcomekpi.tables.columns import list_values

__all__ = ["ParsedFormula", "check_operators", "first_line", "parse_formula"]

NAME = re.compile(r"[^\W\d][\w.]*")
LONGEST = 20_000
"""Characters of a formula that is more than a sum of columns."""


# Operators of a formula: whether what they make is what was meant, before anything is made
MOST_TERMS = 2000
"""Terms that a formula may grow into; (a + b)**40 has 10^12 before any is merged."""
POWERS = ("**", "^")
PRODUCTS = ("*", ":")


def check_operators(text: str) -> None:
    """Refuse operators that fit something else than they say.

    Parameters
    ----------
    text : right-hand side of a formula

    Raises
    ------
    RefusedExpression
        A power or product of one column with itself, which fits the column alone; a minus that
        takes nothing away; more terms than anyone means.
    """
    from formulaic.parser import DefaultFormulaParser

    tree = DefaultFormulaParser().get_ast(text)
    if not hasattr(tree, "operator"):
        return
    counts: dict[int, int] = {}
    for node in _from_the_leaves(tree):
        symbol, args = str(node.operator.symbol), list(node.args)
        counts[id(node)] = _check_number(symbol, [counts.get(id(arg), 1) for arg in args], args)
        if symbol in POWERS:
            _check_power(symbol, args)
        elif symbol in PRODUCTS and len(args) == 2:
            _check_product(symbol, args)
        elif symbol == "-":
            _check_minus(args)


def _from_the_leaves(tree: Any) -> list[Any]:
    """Nodes of a tree, children first; a long sum is too deep to walk by recursion."""
    nodes, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += [arg for arg in node.args if hasattr(arg, "operator")]
    return nodes[::-1]


def _check_number(symbol: str, sizes: list[int], args: list[Any]) -> int:
    """Return the most terms that an operator can make of its sides."""
    if symbol in POWERS and str(args[1]).isdecimal():
        exponent = int(str(args[1]))
        number = sizes[0] ** min(exponent, 64) if sizes[0] > 1 else exponent
    elif symbol == ":":
        number = sizes[0] * sizes[-1]
    elif symbol == "*":
        number = sizes[0] + sizes[-1] + sizes[0] * sizes[-1]
    else:
        number = sum(sizes) if symbol != "-" else sizes[0]
    if number > MOST_TERMS:
        raise RefusedExpression(
            f"multiplies out to more than {MOST_TERMS:,} terms. Name the interactions you mean."
        )
    return max(number, 1)


def _terms(side: Any) -> list[Any]:
    return [term for term in side.to_terms() if str(term) != "1"]


def _spell(term: Any) -> str:
    """Return a term as it has to be written inside I()."""
    names = [
        f"`{factor.expr}`"
        if factor.eval_method.value == "lookup" and not factor.expr.isidentifier()
        else str(factor.expr)
        for factor in term.factors
    ]
    return " * ".join(names)


def _check_power(symbol: str, args: list[Any]) -> None:
    terms = _terms(args[0])
    if len(terms) == 1:
        term = _spell(terms[0])
        raise RefusedExpression(
            f"writes {term}{symbol}{args[1]}, which in a formula fits {term} alone: powers of a "
            f"sum are interactions. Write I({term if len(terms[0].factors) == 1 else f'({term})'}**"
            f"{args[1]})."
        )


def _check_product(symbol: str, args: list[Any]) -> None:
    left, right = _terms(args[0]), _terms(args[1])
    if len(left) != 1 or len(right) != 1:
        return
    again = [factor for factor in left[0].factors if factor in right[0].factors]
    if again:
        name = _spell(type(left[0])(again[:1]))
        raise RefusedExpression(
            f"multiplies {name} by itself with '{symbol}', which in a formula fits it once. "
            f"Write I({name}**2), or leave it out."
        )


def _check_minus(args: list[Any]) -> None:
    there = args[0].to_terms() if len(args) == 2 else ()
    gone = [term for term in args[-1].to_terms() if term not in there]
    if [str(term) for term in gone] == ["1"]:
        return  # that the intercept stays is said elsewhere
    if gone:
        name = _spell(gone[0])
        raise RefusedExpression(
            f"takes away {name}, which is not there: '-' removes terms. Write a difference inside "
            f"I(), such as I(age - {name})."
        )


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
        wide = [sign for sign in text if "！" <= sign <= "～" and not sign.isalnum()]
        if wide and not odd:
            plain = unicodedata.normalize("NFKC", wide[0])
            hint = f" The sign {wide[0]!r} is full-width; write {plain!r}."
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
