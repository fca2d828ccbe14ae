"""Every single mutation of a Python source: which there are, and the syntax tree with one of them in it.

A mutation is known by its place and its words, not by its line, so that it stays the same while the file around it
changes. Nothing is mutated in texts, annotations, docstrings, ``__all__`` and arguments of exceptions: such mutants
change what a person reads, not what is computed.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutation", "mutated", "mutations"]

COMPARES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
CONDITIONS = ("If", "Elif")  # of Amaranth: m.If(...), m.Elif(...)
TEXTS = (ast.JoinedStr, ast.Raise)

Site = tuple[ast.AST, str, str, Callable[[ast.AST], ast.AST | list[ast.AST] | None]]


@dataclass(frozen=True)
class Mutation:
    """One change of a file: ``where``, the class and function around it; ``before`` and ``after``, its words;
    ``number`` among those that look alike; ``line``, of the words, and ``statement``, the line of the statement that
    must run for the change to matter, 0 where it runs at import; ``index``, for :func:`mutated`."""

    where: str
    before: str
    after: str
    number: int
    line: int
    statement: int
    index: int

    @property
    def name(self) -> str:
        """The same in every version of the file that has the place."""
        number = f" #{self.number}" if self.number else ""
        return f"{self.where}: {self.before} -> {self.after}{number}"


def mutations(source: str) -> list[Mutation]:
    """Every mutation of ``source``, in the order of its text."""
    found: list[Mutation] = []
    seen: dict[tuple[str, str, str], int] = {}
    for index, (where, statement, (node, before, after, _)) in enumerate(_sites(ast.parse(source))):
        key = where, before, after
        number = seen[key] = seen.get(key, -1) + 1
        found.append(Mutation(*key, number, getattr(node, "lineno", statement), statement, index))
    return found


def mutated(source: str, index: int) -> ast.Module:
    """The syntax tree of ``source`` with mutation number ``index`` in it."""
    tree = ast.parse(source)
    _, _, (node, _, _, change) = next(site for k, site in enumerate(_sites(tree)) if k == index)
    new = change(node)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(item is node for item in value):
                place = next(k for k, item in enumerate(value) if item is node)
                value[place : place + 1] = new if isinstance(new, list) else [new]
    return ast.fix_missing_locations(tree)


def _sites(tree: ast.Module) -> Iterator[tuple[str, int, Site]]:
    """Places of mutations with the function around them and the line of their statement."""
    yield from _walk(tree, tree, (), 0, called=False)


def _walk(
    node: ast.AST, parent: ast.AST, where: tuple[str, ...], statement: int, *, called: bool
) -> Iterator[tuple[str, int, Site]]:
    if isinstance(node, ast.stmt) and called:
        statement = node.lineno
    for site in _of(node, parent):
        yield ".".join(where) or "module", statement, site
    if isinstance(node, TEXTS) or _is_text(node):
        return
    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    inside = (*where, node.name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else where
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        # Defaults are evaluated where the function is defined, its body where it is called.
        body = name == "body"
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                place = inside if body else where
                yield from _walk(child, node, place, statement, called=called or (function and body))


def _is_text(node: ast.AST) -> bool:
    """A docstring or another lone value, ``__all__``, or a block for the type checker."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)


def _of(node: ast.AST, parent: ast.AST) -> Iterator[Site]:
    """The mutations of one node."""
    text = _short(node)
    match node:
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                if type(op) in COMPARES:
                    yield _replaced(node, text, _with_op(node, k, COMPARES[type(op)]()))
        case ast.BinOp(op=op) if type(op) in BINARY and not _joins(node):
            yield _replaced(node, text, ast.BinOp(node.left, BINARY[type(op)](), node.right))
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield _replaced(node, text, ast.BoolOp(other, values))
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub(), operand=operand):
            yield _replaced(node, text, operand)
        case ast.Constant(value=bool(value)):
            yield _replaced(node, text, ast.Constant(not value))
        case ast.Constant(value=int(value)):
            new = ast.Constant(value + 1 if value % 2 or not value else value - 1)
            yield node, *_around(parent, node, text, new), lambda _: new
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            yield _replaced(node, text, ast.Call(ast.Name(NAMES[name], ast.Load()), node.args, node.keywords))
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in NAMES:
            yield _replaced(node, text, ast.Call(ast.Attribute(value, NAMES[name], ast.Load()), node.args, []))
        case ast.Call(func=ast.Attribute(attr=name), args=[condition]) if name in CONDITIONS:
            yield _replaced(node, text, ast.Call(node.func, [_is_zero(condition)], []))
        case ast.Call(func=ast.Name(id="range"), args=args) if args:
            # Constants of a range are mutated as such.
            last = 1 if len(args) > 1 else 0
            if not isinstance(args[last], ast.Constant):
                less = ast.BinOp(args[last], ast.Sub(), ast.Constant(1))
                yield _replaced(node, text, ast.Call(node.func, [*args[:last], less, *args[last + 1 :]], []))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield _replaced(node, text, ast.IfExp(test, orelse, body))
        case ast.If(test=test) if not _is_text(node):
            yield node, f"if {_short(test)}", f"if not {_short(test)}", _negated
        case ast.While(test=test) if not isinstance(test, ast.Constant):
            yield node, f"while {_short(test)}", "pass", lambda _: ast.Pass()
        case ast.AugAssign(value=ast.List(elts=elements)) if len(elements) > 1 and _is_domain(node.target):
            # Amaranth's m.d.comb += [...]: a statement each.
            for element in elements:
                yield element, _short(element), "nothing", lambda _: []
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield node, text, "pass", lambda _: ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield node, text, "pass", lambda _: ast.Pass()
        case ast.Continue() | ast.Break():
            yield node, text, "pass", lambda _: ast.Pass()
        case _:
            pass


def _around(parent: ast.AST, node: ast.expr, text: str, new: ast.expr) -> tuple[str, str]:
    """The words of an expression before and after a constant in it changes: a number alone says little."""
    if not isinstance(parent, ast.expr):
        return text, _short(new)
    changed = copy.copy(parent)
    for name, value in ast.iter_fields(parent):
        if value is node:
            setattr(changed, name, new)
        elif isinstance(value, list):
            setattr(changed, name, [new if item is node else item for item in value])
    return _short(parent), _short(changed)


def _replaced(node: ast.AST, text: str, new: ast.expr) -> Site:
    return node, text, _short(new), lambda _: copy.deepcopy(new)


def _with_op(node: ast.Compare, place: int, op: ast.cmpop) -> ast.Compare:
    return ast.Compare(node.left, [op if k == place else o for k, o in enumerate(node.ops)], node.comparators)


def _negated(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.If)
    return ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _is_zero(condition: ast.expr) -> ast.expr:
    """The opposite of a condition in the gates."""
    return ast.Compare(condition, [ast.Eq()], [ast.Constant(0)])


def _is_domain(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Attribute) and target.value.attr == "d"


def _joins(node: ast.BinOp) -> bool:
    """Texts that are put together, and unions of types."""
    sides = (node.left, node.right)
    return any(
        isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str | None)) for s in sides
    )


def _short(node: ast.AST) -> str:
    """The words of a node in one line."""
    return " ".join(ast.unparse(node).split())
