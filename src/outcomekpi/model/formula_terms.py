"""Operators of a formula: whether what they make is what was meant, before anything is made."""

from typing import Any

from outcomekpi.model.formula_arguments import RefusedExpression

__all__ = ["check_operators"]

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
