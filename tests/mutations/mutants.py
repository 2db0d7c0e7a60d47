"""Small faults, one at a time, in the text of a module: what a careless change might do to it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

# Each operator and what stands in for it: the other side of a boundary, or the opposite.
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
# What no test should depend on: types, decorators, what a message says, and what only tells mypy something.
LEFT_ALONE = frozenset({"annotation", "returns", "decorator_list", "exc", "cause", "bases", "type_ignores"})


@dataclass(frozen=True)
class Mutant:
    """A module with one fault: where it is, and the text with and without it."""

    line: int
    before: str
    after: str
    tree: ast.Module


@dataclass(frozen=True)
class _Place:
    """Where a node hangs in the tree: in a field of its parent, or at an index of the list there."""

    parent: ast.AST
    field: str
    index: int | None

    def node(self) -> ast.AST:
        held = getattr(self.parent, self.field)
        return held if self.index is None else held[self.index]

    def put(self, node: ast.AST | None) -> None:
        """Replace the node; None takes it out of its list."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        elif node is None:
            del getattr(self.parent, self.field)[self.index]
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(source: str) -> Iterator[Mutant]:
    """Give the module with each fault in turn."""
    tree = ast.parse(source)
    for number, place in enumerate(_places(tree)):
        node = place.node()
        for other in [*_others(node), *_without(place)]:
            spoiled = copy.deepcopy(tree)
            there = next(found for at, found in enumerate(_places(spoiled)) if at == number)
            there.put(other and ast.copy_location(copy.deepcopy(other), node))
            after = "" if other is None else ast.unparse(ast.copy_location(other, node))
            yield Mutant(node.lineno, ast.unparse(node), after, ast.fix_missing_locations(spoiled))


def _places(node: ast.AST) -> Iterator[_Place]:
    """Give every node that has a line, outermost first, but not what is left alone."""
    for field, value in ast.iter_fields(node):
        if field in LEFT_ALONE or isinstance(node, ast.Assert | ast.JoinedStr):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or _is_docstring(child) or _is_fault_point(child):
                continue
            if hasattr(child, "lineno"):
                yield _Place(node, field, index)
            yield from _places(child)


def _is_fault_point(node: ast.AST) -> bool:
    """Tell whether a node is `faults.reach(...)`, which tests/journeys/test_fault_points.py asks for, one and all."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("faults.reach(")


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in this node's place."""
    if isinstance(node, ast.stmt):
        yield from _other_statements(node)
    else:
        yield from _other_expressions(node)


def _other_expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=value) if (other := _other_value(value)) is not None:
            yield ast.Constant(other)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for at, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:at], COMPARED[type(op)](), *ops[at + 1 :]], comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED:
            yield ast.BinOp(left, COMPUTED[type(op)](), right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.IfExp(test=test, body=body, orelse=orelse) if not _is_mutated_itself(test):
            yield ast.IfExp(_not(test), body, orelse)


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test=test, body=body, orelse=orelse) if not _is_mutated_itself(test):
            yield ast.If(_not(test), body, orelse)
        case ast.For(target=target, body=body, orelse=orelse):
            yield ast.For(target, ast.Tuple([], ast.Load()), body, orelse)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.AugAssign() | ast.Expr() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _without(place: _Place) -> Iterator[None]:
    """Give None where an element of a collection may be left out; constants are replaced instead."""
    is_element = isinstance(place.parent, ast.Tuple | ast.List | ast.Set) and place.field == "elts"
    is_read = isinstance(getattr(place.parent, "ctx", ast.Load()), ast.Load)
    if is_element and is_read and not isinstance(place.node(), ast.Constant):
        yield None


def _other_value(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x" if value else "x"
    if isinstance(value, bytes):
        return value + b"x"
    return None


def _is_mutated_itself(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare | ast.UnaryOp)


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
