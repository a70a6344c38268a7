"""Expressions in a formula, such as ``np.log(age)``: which are evaluated, and what they use.

An expression is read as Python and let through only if every part of it is known here: columns,
numbers, arithmetic, comparisons, and the functions of ``formula_functions``. Nothing is looked up
by a name that the formula brings along, so that no formula can reach a file or a module.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from outcomekpi.model.formula_arguments import (
    RefusedExpression,
    called,
    check_contrasts,
    check_literal,
    check_option,
    check_text,
    check_transform_texts,
    options,
    refuse_attribute,
    shown,
    spell_keyword,
    written_number,
)
from outcomekpi.model.formula_functions import (
    CONSTANTS,
    CONTRASTS,
    ELEMENTWISE,
    LITERAL_ARGUMENT,
    TRANSFORMS,
    say_unknown_function,
)

__all__ = [
    "BACKTICKED",
    "Expression",
    "check_made_names",
    "read_expression",
]

BACKTICKED = re.compile(r"`([^`]*)`")
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
LARGEST_POWER = 20
"""Of a number to a number, which Python would compute however many digits it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """What an expression uses.

    Attributes
    ----------
    columns : names, in order of appearance, not looked up yet
    functions : names of functions and modules that it calls
    """

    columns: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(slots=True)
class _Reading:
    """Names met so far, and the columns that stand behind names made for backticks."""

    original: dict[str, str]
    columns: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)


def read_expression(text: str) -> Expression:
    """Find the columns of an expression; refuse whatever is not known.

    Parameters
    ----------
    text : one factor of a formula, as formulaic hands it to Python

    Raises
    ------
    RefusedExpression
        Says which part is not evaluated and what to write instead.
    """
    from formulaic.utils.code import sanitize_variable_names

    reading = _Reading(original={})
    try:
        # formulaic's own names for what stands in backticks: what is checked is what is run
        code = sanitize_variable_names(text, {}, reading.original)
        _read(ast.parse(code, mode="eval").body, reading)
    except SyntaxError as error:
        raise RefusedExpression(
            f"holds {text!r}, which is not a Python expression: {error.msg}."
        ) from error
    except (RecursionError, MemoryError) as error:
        raise RefusedExpression("is nested too deeply.") from error
    return Expression(columns=tuple(reading.columns), functions=tuple(reading.functions))


def check_made_names(expressions: Iterable[str], names: Iterable[str]) -> None:
    """Refuse names in backticks that formulaic would confuse with another inside a function.

    It writes ``my_age`` for `my age`; where that name is taken it adds random letters, and forgets
    what a spline learned by the time that other cases come.

    Parameters
    ----------
    expressions : all factors of a formula that are Python
    names : columns that the formula uses anywhere

    Raises
    ------
    RefusedExpression
        Names the two.
    """
    from formulaic.transforms import TRANSFORMS as KNOWN

    owner: dict[str, str] = {name: name for name in (*KNOWN, *names) if name.isidentifier()}
    for name in (found for text in expressions for found in BACKTICKED.findall(text)):
        if name.isidentifier():
            continue
        made = re.sub(r"\W", "_", name)
        made = f"_{made}" if made[:1].isdigit() else made
        if owner.setdefault(made, name) != name:
            raise RefusedExpression(
                f"uses the column {name!r} inside a function, and {owner[made]!r}, which differs "
                "in blanks or signs only. Rename one of them."
            )


def _read(node: ast.expr, reading: _Reading) -> None:
    """Refuse a node that is not arithmetic on columns; note the columns in it."""
    match node:
        case ast.Name():
            reading.columns.append(reading.original.get(node.id, node.id))
        case ast.Constant(value=bool() | int() | float()):
            pass
        case ast.Attribute() if ast.unparse(node) in CONSTANTS:
            reading.functions.append("np")
        case ast.Attribute():
            refuse_attribute(node)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            _read(node.operand, reading)
        case ast.BinOp():
            _read_arithmetic(node, reading)
        case ast.Compare():
            _read_comparison(node, reading)
        case ast.Call():
            _read_call(node, reading)
        case ast.Subscript():
            raise RefusedExpression(
                f"picks rows by {ast.unparse(node)!r}, which depends on their order. Compute it as "
                "a column of the table."
            )
        case _:
            raise RefusedExpression(
                f"holds {shown(node)}, which is not evaluated: use columns, numbers, arithmetic, "
                "comparisons and known functions only."
            )


def _read_arithmetic(node: ast.BinOp, reading: _Reading) -> None:
    if isinstance(node.op, ast.BitXor):
        raise RefusedExpression(f"writes a power as {shown(node)}. Inside I() it is '**'.")
    if not isinstance(node.op, ARITHMETIC):
        raise RefusedExpression(
            f"holds {shown(node)}, whose operator is not evaluated: use + - * / // % ** &."
        )
    if isinstance(node.op, ast.Pow):
        _check_power(node)
    _read(node.left, reading)
    _read(node.right, reading)


def _check_power(node: ast.BinOp) -> None:
    """Refuse a power without a column, which Python computes to the last of its digits."""
    base, exponent = written_number(node.left), written_number(node.right)
    if any(_is_column(part) for part in ast.walk(node)):
        return
    if base is None or exponent is None or max(abs(exponent) / LARGEST_POWER, abs(base) / 1e6) > 1:
        raise RefusedExpression(f"computes {shown(node)}. Write the number itself.")


def _is_column(node: ast.AST) -> bool:
    known = {*ELEMENTWISE, *TRANSFORMS, "np", "contr", "Q"}
    return isinstance(node, ast.Name) and node.id not in known


def _read_comparison(node: ast.Compare, reading: _Reading) -> None:
    if len(node.ops) > 1:
        raise RefusedExpression(
            f"chains comparisons in {shown(node)}. Join two of them: (a < x) & (x < b)."
        )
    if not isinstance(node.ops[0], COMPARISONS):
        raise RefusedExpression(
            f"holds {shown(node)}, which is not evaluated. Write np.isin(column, [...]), or "
            "compare by ==."
        )
    for side in (node.left, node.comparators[0]):
        if isinstance(side, ast.Constant) and isinstance(side.value, str):
            check_text(side.value)
        else:
            _read(side, reading)


def _read_call(node: ast.Call, reading: _Reading) -> None:
    name = called(node)
    if name in CONTRASTS:
        raise RefusedExpression(f"uses {name}() alone. It belongs into C(column, {name}(...)).")
    if name == "Q":
        _read_quoted(node, reading)
    elif name in ELEMENTWISE:
        _read_elementwise(node, name, reading)
    elif name in TRANSFORMS:
        _read_transform(node, name, reading)
    else:
        raise RefusedExpression(say_unknown_function(name))
    reading.functions.append(name.partition(".")[0])


def _read_quoted(node: ast.Call, reading: _Reading) -> None:
    match node:
        case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]):
            check_text(name)
            check_transform_texts(node, "Q")
            reading.columns.append(name)
        case _:
            raise RefusedExpression("must name one column in Q(), in quotes.")


def _read_elementwise(node: ast.Call, name: str, reading: _Reading) -> None:
    fewest, most = ELEMENTWISE[name]
    if node.keywords:
        raise RefusedExpression(
            f"gives {name}() the keyword {spell_keyword(node.keywords[0])}, which is not allowed."
        )
    if not fewest <= len(node.args) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} or {most}"
        raise RefusedExpression(f"gives {name}() {len(node.args)} values in place of {wanted}.")
    for place, argument in enumerate(node.args):
        if LITERAL_ARGUMENT.get(name) == place:
            check_literal(argument, texts=True)
        else:
            _read(argument, reading)


def _read_transform(node: ast.Call, name: str, reading: _Reading) -> None:
    known = TRANSFORMS[name]
    if not node.args:
        raise RefusedExpression(f"gives {name}() no column.")
    if name == "C" and isinstance(node.args[0], ast.Constant):
        raise RefusedExpression("gives C() no column.")
    _read(node.args[0], reading)
    for option, value in options(node, name, known, skip=1):
        if option == "contrasts":
            coding = check_contrasts(value)
            reading.functions += [] if coding is None else [coding.partition(".")[0]]
        else:
            check_option(option, value, texts=name == "C")
    if name != "C":
        check_transform_texts(node, name)
