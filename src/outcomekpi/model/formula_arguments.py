"""What is written out in a formula beside the columns: options, codings, numbers and texts."""

import ast
import re
from collections.abc import Iterator
from typing import NoReturn

from outcomekpi.declare.errors import FormulaError
from outcomekpi.model.formula_functions import CONTRASTS, WORDS, say_unknown_function

__all__ = [
    "RefusedExpression",
    "called",
    "check_contrasts",
    "check_literal",
    "check_option",
    "check_text",
    "check_transform_texts",
    "options",
    "refuse_attribute",
    "shown",
    "spell_keyword",
    "written_number",
]

LARGEST_OPTION = 100
"""Largest number of columns, degree or order that a function may be asked for."""
UNSAFE_TEXT = re.compile(r"[\"\\`\x00-\x1f\x7f\ud800-\udfff]")


class RefusedExpression(FormulaError):
    """An expression that is not evaluated; the message follows the formula in a sentence."""


def shown(node: ast.AST) -> str:
    """Part of a formula in quotation marks, shortened."""
    text = ast.unparse(node)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def written_number(node: ast.expr) -> float | None:
    """Return a written number, with its sign, or None."""
    sign = 1
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -sign if isinstance(node.op, ast.USub) else sign
        node = node.operand
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return sign * value
    return None


def called(node: ast.Call) -> str:
    """Name of the function that is called, such as ``np.log``."""
    match node.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="np" | "contr" as module), attr=name):
            return f"{module}.{name}"
        case ast.Attribute() as function if ast.unparse(function).startswith("np.random."):
            raise RefusedExpression(say_unknown_function(ast.unparse(function)))
        case ast.Attribute() as function:
            refuse_attribute(function)
    raise RefusedExpression(f"calls {shown(node.func)}, which is no function: use functions only.")


def refuse_attribute(node: ast.Attribute) -> NoReturn:
    """Refuse what reaches into a column or a module."""
    text = shown(node)
    raise RefusedExpression(
        f"must not reach for {node.attr!r} in {text}: use functions only. A column whose name has "
        "a dot is written in backticks."
    )


def options(
    node: ast.Call, name: str, known: tuple[str, ...], *, skip: int
) -> Iterator[tuple[str, ast.expr]]:
    """Name and value of each argument after the first ``skip``."""
    given = node.args[skip:]
    if len(given) > len(known):
        raise RefusedExpression(f"gives {name}() {len(node.args)} values, more than it takes.")
    yield from zip(known, given, strict=False)
    for one in node.keywords:
        if one.arg is None or one.arg not in known:
            listed = ", ".join(known) or "none"
            raise RefusedExpression(
                f"gives {name}() the keyword {spell_keyword(one)}, which is not allowed there; "
                f"known: {listed}."
            )
        yield one.arg, one.value


def spell_keyword(one: ast.keyword) -> str:
    """Name of a keyword in quotation marks."""
    return "'**'" if one.arg is None else repr(one.arg)


def check_option(option: str, value: ast.expr, *, texts: bool) -> None:
    """Let through a number, or one of the words that an option knows."""
    words = WORDS.get(option, ())
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and not texts:
        if value.value in words:
            return
        listed = ", ".join(map(repr, words)) or "a number"
        raise RefusedExpression(f"must give {option} as {listed}; got {value.value!r}.")
    number = written_number(value)
    if option in ("df", "degree") and number is not None and not 0 <= number <= LARGEST_OPTION:
        raise RefusedExpression(
            f"must give {option} as a number up to {LARGEST_OPTION}; got {shown(value)}."
        )
    check_literal(value, texts=texts)


def check_contrasts(value: ast.expr) -> str | None:
    """Let through a known coding of categories, whose name is returned, or numbers written out."""
    if not isinstance(value, ast.Call):
        name = ast.unparse(value)
        if name in CONTRASTS:
            return name
        check_literal(value, texts=True)
        return None
    name = called(value)
    if name not in CONTRASTS:
        raise RefusedExpression(
            f"codes categories by {name!r}, which is not known. Known are {', '.join(CONTRASTS)}."
        )
    for _, option in options(value, name, CONTRASTS[name], skip=0):
        check_literal(option, texts=True)
    return name


def check_literal(node: ast.expr, *, texts: bool) -> None:
    """Let through a written number, truth value, text where it may be one, or a list of them."""
    match node:
        case ast.List() | ast.Tuple():
            for part in node.elts:
                check_literal(part, texts=texts)
        case ast.Dict() if None not in node.keys:
            for part in (*filter(None, node.keys), *node.values):
                check_literal(part, texts=texts)
        case ast.Constant(value=bool() | None):
            pass
        case ast.Constant(value=str(text)) if texts:
            check_text(text)
        case _ if written_number(node) is not None:
            pass
        case _:
            raise RefusedExpression(f"must write out the value {shown(node)} as a number or list.")


def check_text(text: str) -> None:
    """Refuse signs that end a text where it is written into code."""
    if UNSAFE_TEXT.search(text):
        raise RefusedExpression(
            f"holds the text {text!r}: quotation marks, backticks and backslashes must not "
            "stand in texts of a formula. Rename it in the table."
        )


def check_transform_texts(node: ast.Call, name: str) -> None:
    """Refuse texts with a quotation mark where formulaic writes the call into code of its own."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "'" in part.value:
            raise RefusedExpression(
                f"holds the text {part.value!r} inside {name}(), where a quotation mark must not "
                "stand. Rename it in the table."
            )
