"""The thetas of a batch as columns: what to do to which of its images, one kind of operation after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from facerefs.schemas.operations import OPERATIONS, AnyBlur, Blur, Operation, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.operations.padded_batch import Sizes, sizes_of
from facerefs.stages.degrade.operations.resampling import TAPPED

_RANK = {kind: rank for rank, kind in enumerate(OPERATIONS.values())}


class Kind(NamedTuple):
    """What images must have in common to be degraded together."""

    operation: type[Operation]
    choice: str | bool | None  # mode, chroma or gray: what it depends on besides numbers
    blur: type[Operation] | None = None  # of a resize: the blur before it, which it does, too
    along_axes: bool = False  # whether that is a Gaussian whose axes are x and y


@dataclass(frozen=True)
class Step:
    """One kind of operation on those images of a run that it concerns."""

    kind: Kind
    images: Tensor | None  # (n,) int64, which of the run; None: all of them
    before: Sizes  # of these images
    after: Sizes
    canvas: tuple[int, int]  # the largest height and width in the run after this step
    values: dict[str, Tensor]  # the operations' numbers by name, (n,) float64 or int64 each
    reach: int  # half of the most taps, of a blur


@dataclass(frozen=True)
class Run:
    """Images that are degraded together."""

    images: Tensor | None  # (n,) int64, which of the batch; None: all of them
    steps: tuple[Step, ...]
    sizes: Sizes  # of the degraded images


@dataclass(frozen=True)
class Program:
    """What `engine.degrade` does to a batch of images of one size."""

    height: int
    width: int
    runs: tuple[Run, ...]
    sizes: Sizes  # of the degraded images

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Program":
        """The same on another device."""
        return _mapped(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Program":
        """The same in page-locked memory, from which a GPU copies on its own."""
        return _mapped(self, torch.Tensor.pin_memory)


def compile_thetas(thetas: Sequence[Theta], height: int, width: int, at_once: int | None = None) -> Program:
    """A program for images of height x width, one for each theta.

    `at_once` bounds how many are degraded together, those of about the same size: 1 is best on a CPU, where
    a large batch gains nothing, and all of them (None) on a GPU. Raises ValueError if there is no theta.
    """
    if not thetas:
        raise ValueError("there is no theta")
    final = [_final_shape(theta, (height, width)) for theta in thetas]
    order = sorted(range(len(thetas)), key=lambda i: final[i]) if at_once else list(range(len(thetas)))
    step = at_once or len(thetas)
    groups = [order[start : start + step] for start in range(0, len(order), step)]
    runs = tuple(
        _run(group, thetas, (height, width), whole=len(groups) == 1 and not at_once) for group in groups
    )
    return Program(height, width, runs, sizes_of(final))


@dataclass(frozen=True)
class _Item:
    """An operation, or a blur and the resize after it."""

    kind: Kind
    operations: tuple[Operation, ...]


def _run(group: list[int], thetas: Sequence[Theta], shape: tuple[int, int], whole: bool) -> Run:
    """Always the first kind, in the order of OPERATIONS, that an image waits for; JPEG is the last of them.

    So images that skip an operation wait before JPEG for those that do not.
    """
    waiting = [_items(thetas[i])[::-1] for i in group]
    shapes = [shape] * len(group)
    steps = []
    while any(waiting):
        kind = min((items[-1].kind for items in waiting if items), key=_order)
        images = [i for i, items in enumerate(waiting) if items and items[-1].kind == kind]
        operations = [waiting[i].pop().operations for i in images]
        before = [shapes[i] for i in images]
        for i, done in zip(images, operations, strict=True):
            shapes[i] = _after(done[-1], shapes[i])
        canvas = (max(height for height, _ in shapes), max(width for _, width in shapes))
        after = [shapes[i] for i in images]
        index = None if len(images) == len(group) else torch.tensor(images)
        steps.append(
            Step(
                kind,
                index,
                sizes_of(before),
                sizes_of(after),
                canvas,
                _values(operations),
                _reach(operations),
            )
        )
    return Run(None if whole else torch.tensor(group), tuple(steps), sizes_of(shapes))


def _order(kind: Kind) -> tuple[int, str, str, bool]:
    blur = kind.blur.__name__ if kind.blur else ""
    return _RANK[kind.operation], str(kind.choice), blur, kind.along_axes


def _items(theta: Theta) -> list[_Item]:
    items: list[_Item] = []
    for operation in theta:
        choice = next(
            (
                getattr(operation, name, None)
                for name in ("mode", "chroma", "gray")
                if hasattr(operation, name)
            ),
            None,
        )
        before = items[-1].operations[-1] if items else None
        if isinstance(operation, Resize) and isinstance(before, AnyBlur) and operation.mode in TAPPED:
            items[-1] = _Item(Kind(Resize, choice, type(before), _along_axes(before)), (before, operation))
        else:
            items.append(_Item(Kind(type(operation), choice), (operation,)))
    return items


def _along_axes(blur: AnyBlur) -> bool:
    return isinstance(blur, Blur) and (blur.angle_rad == 0 or blur.sigma_x_px == blur.sigma_y_px)


def _after(operation: Operation, shape: tuple[int, int]) -> tuple[int, int]:
    return (operation.out_h, operation.out_w) if isinstance(operation, Resize) else shape


def _final_shape(theta: Theta, shape: tuple[int, int]) -> tuple[int, int]:
    for operation in theta:
        shape = _after(operation, shape)
    return shape


def _values(operations: Sequence[tuple[Operation, ...]]) -> dict[str, Tensor]:
    """The numbers of each operation as columns."""
    columns = {}
    for alike in zip(*operations, strict=True):
        for field in fields(alike[0]):
            values = [getattr(operation, field.name) for operation in alike]
            if isinstance(values[0], int | float) and not isinstance(values[0], bool):
                dtype = torch.float64 if isinstance(values[0], float) else torch.int64
                columns[field.name] = torch.tensor(values, dtype=dtype)
    return columns


def _reach(operations: Sequence[tuple[Operation, ...]]) -> int:
    return max((done[0].taps for done in operations if isinstance(done[0], AnyBlur)), default=0) // 2


def _mapped(program: Program, change: Callable[[Tensor], Tensor]) -> Program:
    """The program with all of its tensors changed."""

    def sizes(old: Sizes) -> Sizes:
        return Sizes(old.shapes, change(old.heights), change(old.widths))

    def step(old: Step) -> Step:
        return replace(
            old,
            images=_maybe(old.images),
            before=sizes(old.before),
            after=sizes(old.after),
            values={name: change(value) for name, value in old.values.items()},
        )

    def _maybe(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else change(tensor)

    runs = tuple(
        Run(_maybe(run.images), tuple(map(step, run.steps)), sizes(run.sizes)) for run in program.runs
    )
    return replace(program, runs=runs, sizes=sizes(program.sizes))
