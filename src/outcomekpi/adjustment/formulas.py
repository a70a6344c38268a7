"""Formulas: which columns one uses, and the columns of numbers that it makes of them.

A formula is evaluated as Python by formulaic. Only names of columns and of known functions are
let through, but that is no sandbox: never use a formula from somebody you do not trust.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.adjustment.covariates import Covariate, check_categories
from outcomekpi.columns import label_text, list_values
from outcomekpi.errors import FormulaError, did_you_mean

__all__ = ["Encoding", "ParsedFormula", "encode", "encode_again", "parse_formula"]

NAME = re.compile(r"[^\W\d][\w.]*")
BACKTICKED = re.compile(r"`([^`]*)`")
BUILTINS = frozenset({"abs", "float", "int", "len", "max", "min", "round"})
MADE_CATEGORICAL = re.compile(r"C\((?:`([^`]+)`|([^\W\d]\w*))[,)]")
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """How columns became terms, kept so that other cases can be encoded in the same way.

    Attributes
    ----------
    formula : the formula
    levels : column -> its categories, or None for a column of numbers
    specification : formulaic's model specification; None for a plain formula
    names : (term,), without the intercept
    """

    formula: ParsedFormula
    levels: dict[str, tuple[str, ...] | None]
    specification: Any
    names: tuple[str, ...]


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
        hint = (
            f" Write `{odd[0]}` in backticks, as a name with blanks or signs needs." if odd else ""
        )
        raise FormulaError(
            f"{argument}={text!r} cannot be read as a formula: {_first_line(error)}{hint} "
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


def encode(
    formula: ParsedFormula,
    covariates: dict[str, Covariate],
    *,
    n_rows: int,
    weights: NDArray[np.float64] | None = None,
) -> tuple[Encoding, Iterator[NDArray[Any]]]:
    """Turn covariates into terms: one column of numbers each, without the intercept.

    Parameters
    ----------
    formula : as parsed
    covariates : column name -> values, complete
    n_rows : number of rows
    weights : (row,), patients in each row; what a formula learns from the data (knots, means)
        is learned from patients, so that it does not matter how they are aggregated

    Returns
    -------
    encoding, columns : the columns come one at a time and in order

    Raises
    ------
    FormulaError
        The formula cannot be evaluated.
    """
    used = {name: covariates[name] for name in formula.columns}
    levels = {name: covariate.levels for name, covariate in used.items()}
    if formula.is_plain:
        names = tuple(name for covariate in used.values() for name in covariate.term_names())
        encoding = Encoding(formula=formula, levels=levels, specification=None, names=names)
        return encoding, (c for covariate in used.values() for c in covariate.term_columns())
    matrix = _evaluate(formula, _frame_of(used, n_rows), weights)
    specification = matrix.model_spec
    _check_encoded(formula, specification, used, weights)
    names = tuple(str(name) for name in matrix.columns if name != "Intercept")
    encoding = Encoding(formula=formula, levels=levels, specification=specification, names=names)
    return encoding, _columns_of(matrix)


def encode_again(
    encoding: Encoding, covariates: dict[str, Covariate], *, n_rows: int
) -> Iterator[NDArray[Any]]:
    """Encode other cases as the first ones were; yields the same terms in the same order."""
    if encoding.specification is None:
        return (
            column
            for name in encoding.formula.columns
            for column in covariates[name].term_columns()
        )
    data = _frame_of(covariates, n_rows)
    matrix = _run(encoding.formula, lambda: encoding.specification.get_model_matrix(data))
    return _columns_of(matrix)


def _evaluate(
    formula: ParsedFormula, data: pd.DataFrame, weights: NDArray[np.float64] | None
) -> Any:
    from formulaic import Formula

    parsed = Formula(formula.text)

    def materialize(rows: pd.DataFrame) -> Any:
        return parsed.get_model_matrix(rows, na_action="ignore", output="pandas")

    matrix = _run(formula, lambda: materialize(data))
    if weights is None or not matrix.model_spec.transform_state:
        return matrix
    patients = np.repeat(np.arange(len(data)), weights.astype(np.intp))
    specification = _run(formula, lambda: materialize(data.iloc[patients])).model_spec
    return _run(formula, lambda: specification.get_model_matrix(data))


def _check_encoded(
    formula: ParsedFormula,
    specification: Any,
    covariates: dict[str, Covariate],
    weights: NDArray[np.float64] | None,
) -> None:
    """Refuse terms without a column, and categories of one case that the formula made."""
    for term, place in specification.term_slices.items():
        if place.start == place.stop:
            raise FormulaError(
                f"{formula.argument}={formula.text!r}: the term {str(term)!r} is constant, all "
                "rows are of the same category. Leave it out of the formula."
            )
    for factor in specification.factor_contrasts:
        made = MADE_CATEGORICAL.match(str(factor))
        covariate = covariates.get((made[1] or made[2]) if made else "")
        if covariate is not None and covariate.levels is None:
            code, values = pd.factorize(covariate.values)
            levels = tuple(label_text(value) for value in values)
            categories = Covariate(name=str(factor), values=code, levels=levels)
            check_categories([categories], weights, "case")


def _run(formula: ParsedFormula, step: Any) -> Any:
    """Evaluate a formula; whatever goes wrong in its Python becomes one FormulaError."""
    from formulaic.errors import DataMismatchWarning

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("error", DataMismatchWarning)
            return step()
    except DataMismatchWarning as error:
        seen = re.search(r"\{(.*)\}", str(error))
        unknown = re.sub(r"np\.\w+\((.*?)\)", r"\1", seen[1]) if seen else _first_line(error)
        raise FormulaError(
            f"{formula.argument}={formula.text!r} meets categories that were not there when the "
            f"model was fitted: {unknown}. Leave out these cases, or fit the model with them."
        ) from error
    except Exception as error:  # a formula runs arbitrary Python
        reason = _first_line(error)
        if "extend beyond upper and/or lower bounds" in str(error):
            reason = (
                "a spline meets values outside the range that the model was fitted on. Write "
                "bs(..., extrapolation='clip') when fitting, or leave out these cases."
            )
        raise FormulaError(
            f"{formula.argument}={formula.text!r} cannot be evaluated: {reason}"
        ) from error


def _first_line(error: BaseException) -> str:
    line = COLOR.sub("", str(error)).strip().partition("\n")[0].strip()
    return line if line.endswith(".") else f"{line}."


def _frame_of(covariates: dict[str, Covariate], n_rows: int) -> pd.DataFrame:
    columns = {name: covariate.as_column() for name, covariate in covariates.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(n_rows))


def _columns_of(matrix: pd.DataFrame) -> Iterator[NDArray[Any]]:
    for position, name in enumerate(matrix.columns):
        if name != "Intercept":
            yield matrix.iloc[:, position].to_numpy()
