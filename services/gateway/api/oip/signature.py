"""What a task takes and gives as tensors, and how a request is held against it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.common.errors import InvalidTensor
from services.gateway.api.oip.tensors import DATATYPES, LARGEST, Given, MalformedError, Shape, Tensor, shown
from services.gateway.api.tasks import TaskSurface

Parameters = Mapping[str, object]
Body = dict[str, object]
"""A request body of a task's surface."""
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class TensorSpec:
    name: str
    datatypes: tuple[str, ...]
    """What it may be; metadata names the first."""
    shapes: tuple[Shape, ...]
    """What it may look like, -1 for any size; metadata shows the first."""
    optional: bool = False
    parameters: tuple[tuple[str, str], ...] = ()
    """What metadata and answers say beside it."""

    @property
    def said(self) -> dict[str, str | bool]:
        """Metadata's parameters."""
        return dict(self.parameters) | ({"optional": True} if self.optional else {})

    def check(self, given: Given) -> Shape:
        """The shape given. Raises MalformedError where datatype or shape is none of this tensor's."""
        if given.datatype not in self.datatypes:
            wanted = " or ".join(self.datatypes)
            raise MalformedError(f"datatype is {given.datatype[:LONGEST_NAME]!r}, the model takes {wanted}")
        if not all(0 <= size <= LARGEST for size in given.shape):
            raise MalformedError("its shape has a dimension that is negative or beyond INT64")
        if not any(fits(given.shape, shape) for shape in self.shapes):
            wanted = " or ".join(map(shown, self.shapes))
            raise MalformedError(f"shape is {shown(given.shape)}, the model takes {wanted}")
        return tuple(given.shape)


def fits(shape: Sequence[int], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b in (-1, a) for a, b in zip(shape, wanted, strict=True))


Inputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Signature:
    """A task's tensors, and the translation between them and the task's surface."""

    surface: TaskSurface
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    bodies: Callable[[Inputs, Parameters], list[Body]]
    """The requests that answer these inputs; mostly one. Raises InvalidTensor."""
    tensors: Callable[[Inputs, Sequence[Any]], list[Tensor]]
    """The outputs, in the order of `outputs`, from the answers to `bodies`. Raises LookupError, TypeError, ValueError
    where an answer is not the surface's."""
    fields: Mapping[str, str]
    """Names of the surface's fields that are other than their tensors'."""

    def read(self, given: Sequence[Given]) -> dict[str, Tensor]:
        """The inputs by name. Raises InvalidTensor."""
        specs = {spec.name: spec for spec in self.inputs}
        found: dict[str, Tensor] = {}
        for tensor in given:
            spec = specs.get(tensor.name)
            if spec is None:
                raise wrong(tensor.name, f"the model has no such input; it takes {', '.join(specs)}")
            if tensor.name in found:
                raise wrong(tensor.name, "it is given twice")
            found[tensor.name] = _read(spec, tensor)
        missing = next((spec.name for spec in self.inputs if not spec.optional and spec.name not in found), None)
        if missing:
            raise wrong(missing, "it is missing")
        return found


def _read(spec: TensorSpec, given: Given) -> Tensor:
    try:
        shape = spec.check(given)
        return Tensor(given.name, given.datatype, shape, given.read(DATATYPES[given.datatype], shape))
    except MalformedError as error:
        raise wrong(given.name, str(error)) from None


def wrong(name: str, fault: str) -> InvalidTensor:
    """The error for an input tensor, by its name."""
    return InvalidTensor(f"input {name[:LONGEST_NAME]!r}: {fault}", param=name[:LONGEST_NAME])
