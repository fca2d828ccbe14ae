"""An operation of a traced graph, as the function sees it that reads it (:mod:`~.registry`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor, fx

from ...ir.windows import alike
from ..layers.base import Layer, refuse
from .arguments import Arguments
from .sizes import Sizes
from .tracing import call_name, type_name, word

if TYPE_CHECKING:
    from .reader import Reader

__all__ = ["Call"]


class Call:
    """What ``node`` calls and with what. Its reader takes all arguments, and says what becomes of it: :meth:`put` a
    layer, :meth:`replace` the one before it, or :meth:`hand_on`.

    Attributes: ``name``, as messages name it; ``of``, the tensor that it is called with.
    """

    def __init__(self, reader: Reader, node: fx.Node) -> None:
        self.reader, self.node, self.name = reader, node, call_name(node)
        self.given = Arguments(node)
        self.of: Any = self.given.take("input")
        self.lines = False

    @property
    def module(self) -> Any:
        """The module that is called."""
        return self.reader.modules[str(self.node.target)]

    @property
    def what(self) -> str:
        """What is called, by its own name: "Softmax"."""
        return type_name(self.module) if self.node.op == "call_module" else word(self.node)

    @property
    def source(self) -> str:
        """The layer whose result it takes."""
        return self.layer(self.of)

    @property
    def before(self) -> Layer | None:
        """That layer itself, None for the image."""
        return self.reader.layers.get(self.source)

    @property
    def alone(self) -> bool:
        """Whether nothing else takes that result."""
        return len(self.node.all_input_nodes[0].users) == 1

    @property
    def result(self) -> str:
        """The layer that holds its own result, once there is one."""
        return self.reader.found[self.node]

    @property
    def sizes(self) -> Sizes:
        """The sizes that the forward has asked for."""
        return self.reader.sizes

    def take(self, key: str, default: Any = None) -> Any:
        """The value of an argument, ``default`` where it is not given."""
        return self.given.take(key, default)

    def rest(self) -> list[Any]:
        """The values of all arguments without a name."""
        return self.given.rest()

    def layer(self, value: Any) -> str:
        """The layer whose result an argument is. Raises UnsupportedLayer where it is none."""
        return self.reader.layer(value, self.name)

    def constant(self, value: Any) -> Tensor | None:
        """An argument that is a number or a constant tensor, one number or one a channel, (1,) or (C,), double; None
        for anything else."""
        return self.reader.constant(value, self.name)

    def tensor(self, key: str, *default: Any) -> Any:
        """The argument ``key``, a tensor that the model holds or computes without its image; ``default`` where it is
        not given. Raises UnsupportedLayer for anything else."""
        value = self.given.take(key, *default)
        if default and value is default[0]:
            return value
        found = self.reader.constants.get(value, value) if isinstance(value, fx.Node) else value
        if not isinstance(found, Tensor):
            self.refuse(f"{key} computed from the image", f"a parameter or a buffer for {key}")
        return found

    def hold(self, what: Any) -> None:
        """It gives no layer yet: ``what`` it is of its source is for what takes it (:meth:`held`)."""
        self.reader.parts[self.node] = self.holder(self.of), what

    def held(self, value: Any) -> Any:
        """What an argument holds, None where it is an ordinary result."""
        return self.reader.parts.get(value, (None, None))[1] if isinstance(value, fx.Node) else None

    def holder(self, value: Any) -> Any:
        """What an argument that holds something is of."""
        return self.reader.parts[value][0] if value in self.reader.parts else value

    def number(self, what: str, value: Any) -> int:
        """A setting that must be the same in both directions."""
        if isinstance(value, Sequence) and not isinstance(value, str):
            if len(set(value)) != 1:
                self.refuse(f"{what}={tuple(value)}", f"the same {what} in both directions")
            value = value[0]
        if isinstance(value, fx.Node):
            self.refuse(f"{what} computed from {value.name}", f"a number for {what}")
        return int(value)

    def line(self, *kinds: Any) -> bool:
        """Whether one of ``kinds``, which take lines (N, C, L) in place of maps, is called; from then on the model is
        known as one of lines."""
        found = self.node.target in kinds or (self.node.op == "call_module" and isinstance(self.module, kinds))
        self.lines = self.lines or found
        self.reader.reading.lines |= found
        return found

    def pair(self, what: str, value: Any, line: int | None = None) -> int | tuple[int, int]:
        """A setting in both directions: a number where they are alike, else (rows, columns). That of a line (see
        :meth:`line`) has ``line`` for the rows."""
        values = tuple(value) if isinstance(value, tuple | list) else (value,)
        if self.lines and line is not None and len(values) == 1:
            values = (line, *values)
        if any(isinstance(each, fx.Node) for each in values):
            self.refuse(f"{what} computed from {values[0]}", f"a number for {what}")
        if len(values) not in (1, 2):
            self.refuse(f"{what}={value!r}", f"one number or two for {what}")
        return alike([int(each) for each in values])  # type: ignore[return-value]

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise UnsupportedLayer, naming the operation."""
        refuse(self.name, what, instead)

    def put(self, layer: Layer) -> None:
        """``layer``, under a name that is free, gives the result."""
        self.reader.put(self.node, layer)

    def replace(self, layer: Layer, *, fold: Any = None) -> None:
        """``layer`` takes the place of the source, and gives the result; ``fold``, the batch norm that went into it."""
        source = self.source
        self.reader.replace(self.node, source, layer)
        if fold is not None:
            self.reader.reading.folds[source] = fold

    def hand_on(self) -> None:
        """It gives what it takes, in evaluation."""
        self.reader.hand_on(self.node, self.source, self.of)

    def decide(self) -> None:
        """It is a (log) softmax or sigmoid of the logits, which changes no answer."""
        self.reader.decide(self.node, self.source, self.of)
