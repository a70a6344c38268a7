"""Conditions written in words, such as "visit and 46 <= age_end <= 75", turned into SQL."""

import ast
from collections.abc import Mapping

from outcomekpi.declare.errors import SpecError, did_you_mean
from outcomekpi.indicators.month_runs import SAME

__all__ = ["expression_sql", "names_in"]

SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=", ast.NotEq: "<>"}
ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def names_in(text: str, *, where: str) -> set[str]:
    """Return the names that a condition mentions."""
    return {node.id for node in ast.walk(_parse(text, where)) if isinstance(node, ast.Name)}


def expression_sql(text: str, columns: Mapping[str, str], *, where: str) -> str:
    """Write a condition in SQL.

    Parameters
    ----------
    text : names joined by ``and``, ``or``, ``not``, comparisons, ``+ - * /``, numbers, 'texts'
    columns : name -> SQL that stands for it
    where : field that holds the condition, for messages

    Raises
    ------
    SpecError
        A name that is not defined, or anything else than the above.

    Notes
    -----
    Numbers are compared with the tolerance of the package, so that 7.7 - 6.9 is a drop of 0.8:
    a < b is a < b - 1e-6 max(1, abs(b)).
    """
    return _write(_parse(text, where), columns, where)


def _parse(text: str, where: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise SpecError(
            f"{where} must be a condition such as 'visit and age_end >= 18'; got {text!r}."
        ) from error


def _write(node: ast.expr, columns: Mapping[str, str], where: str) -> str:
    def inner(part: ast.expr) -> str:
        return _write(part, columns, where)

    match node:
        case ast.Name(id=name):
            return _name(name, columns, where)
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return _constant(value)
        case ast.BoolOp(op=op, values=values):
            word = " AND " if isinstance(op, ast.And) else " OR "
            return "(" + word.join(inner(value) for value in values) + ")"
        case ast.UnaryOp(op=ast.Not() | ast.USub() as op, operand=operand):
            return f"({'NOT ' if isinstance(op, ast.Not) else '-'}{inner(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return f"({inner(left)} {ARITHMETIC[type(op)]} {inner(right)})"
        case ast.Compare(left=left, ops=ops, comparators=rest) if {type(o) for o in ops} <= set(
            SIGNS
        ):
            sides = [left, *rest]
            parts = [
                _compare(inner(a), SIGNS[type(op)], inner(b), texts=_is_text(a) or _is_text(b))
                for a, op, b in zip(sides, ops, rest, strict=False)
            ]
            return "(" + " AND ".join(parts) + ")"
    raise SpecError(
        f"{where} may hold names, numbers, and, or, not, comparisons and + - * /; "
        f"got {ast.unparse(node)!r}."
    )


def _name(name: str, columns: Mapping[str, str], where: str) -> str:
    if name not in columns:
        raise SpecError(
            f"{where} names {name!r}, which is not defined.{did_you_mean(name, columns)} "
            f"Defined are {', '.join(columns)}."
        )
    return columns[name]


def _constant(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _compare(left: str, sign: str, right: str, *, texts: bool) -> str:
    if texts:
        return f"{left} {sign} {right}"
    slack = f"{SAME!r} * greatest(1, abs({right}))"
    if sign in ("<", ">="):
        return f"{left} {sign} {right} - {slack}"
    if sign in (">", "<="):
        return f"{left} {sign} {right} + {slack}"
    return f"abs({left} - {right}) {'<=' if sign == '=' else '>'} {slack}"
