"""Formulas: what may be written in one, and which columns it uses.

A formula is evaluated as Python by formulaic. Only names of columns and of known functions are
let through, but that is no sandbox: never use a formula from somebody you do not trust.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outcomekpi.columns import list_values
from outcomekpi.errors import FormulaError, did_you_mean

__all__ = ["ParsedFormula", "first_line", "parse_formula"]

NAME = re.compile(r"[^\W\d][\w.]*")
BACKTICKED = re.compile(r"`([^`]*)`")
BUILTINS = frozenset({"abs", "float", "int", "len", "max", "min", "round"})
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
            " have their random effects in the model already: name them in Cases.from_frame."
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
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        formula = Formula(text)
    except (FormulaicError, SyntaxError, ValueError) as error:
        odd = [str(c) for c in columns if not NAME.fullmatch(str(c)) and str(c) in text]
        hint = f" Write `{odd[0]}` in backticks: it has blanks or signs." if odd else ""
        if odd and "`" in odd[0]:
            hint = f" Rename the column {odd[0]!r}: a name must not hold backticks."
        raise FormulaError(
            f"{argument}={text!r} cannot be read as a formula: {first_line(error)}{hint} "
            "A formula joins terms by '+', such as 'age + sex + bs(charlson, df=4)'."
        ) from error
    terms = list(formula)
    if not any(str(term) == "1" for term in terms):
        raise FormulaError(
            f"{argument}={text!r} removes the intercept. The model always has one: it is the rate "
            "of an average case. Leave out '0', '-1' or '+0'."
        )
    used: list[str] = []
    bare: list[str] = []
    for factor in (factor for term in terms for factor in term.factors):
        if factor.eval_method.value == "lookup":
            _require_column(factor.expr, columns, argument, text)
            used.append(factor.expr)
            bare.append(factor.expr)
        elif factor.eval_method.value == "python":
            used += _columns_in_expression(factor.expr, columns, argument, text)
    return ParsedFormula(
        argument=argument,
        text=text,
        columns=tuple(dict.fromkeys(used)),
        bare=tuple(dict.fromkeys(bare)),
        is_plain=False,
    )


def _columns_in_expression(
    expression: str, columns: Sequence[object], argument: str, text: str
) -> list[str]:
    """Names of the columns in a Python expression; anything else unknown is refused."""
    from formulaic.transforms import TRANSFORMS

    quoted: dict[str, str] = {}

    def hide(match: re.Match[str]) -> str:
        return quoted.setdefault(match[1], f"quoted_{len(quoted)}_")

    source = BACKTICKED.sub(hide, expression)
    original = {alias: name for name, alias in quoted.items()}
    try:
        nodes = list(ast.walk(ast.parse(source, mode="eval")))
    except SyntaxError as error:
        raise FormulaError(
            f"{argument}={text!r} holds {expression!r}, which is not a Python expression: "
            f"{error.msg}."
        ) from error
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    used = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise FormulaError(
                f"{argument}={text!r} must not reach for {node.attr!r}: use functions only."
            )
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Q" and node.args:
            used.append(str(ast.literal_eval(node.args[0])))
        if not isinstance(node, ast.Name):
            continue
        name = original.get(node.id, node.id)
        if id(node) in called or (name in TRANSFORMS and name not in columns):
            _require_function(name, TRANSFORMS, argument, text)
        else:
            used.append(name)
    for name in used:
        _require_column(name, columns, argument, text)
    return used


def _require_function(name: str, known: Iterable[str], argument: str, text: str) -> None:
    if name == "lag":
        raise FormulaError(
            f"{argument}={text!r} uses lag(), which depends on the order of the rows. "
            "Compute the earlier value as a column of the table."
        )
    if name not in known and name not in BUILTINS:
        raise FormulaError(
            f"{argument}={text!r} uses the function {name!r}, which is not known."
            f"{did_you_mean(name, known)} Known are np.log and the like, bs, cr, poly, C and I."
        )


def first_line(error: BaseException) -> str:
    """First line of an error message, without colors, as a sentence."""
    line = COLOR.sub("", str(error)).strip().partition("\n")[0].strip()
    return line if line.endswith(".") else f"{line}."
