"""Compile the thetas of a batch to a program: tensors that say which operation is applied to which images, in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from facerefs.schemas.operations import OPERATIONS, AnyBlur, Blur, Operation, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.operations.padded_batch import Sizes, sizes_of
from facerefs.stages.degrade.operations.resampling import TAP_MODES

_RANK = {kind: rank for rank, kind in enumerate(OPERATIONS.values())}


class StepKind(NamedTuple):
    """What operations must have in common to be applied to several images at once."""

    operation: type[Operation]
    choice: str | bool | None  # mode, chroma or gray: the field that is no number
    blur: type[Operation] | None = (
        None  # of a resize: the blur just before it, which is done in the same step
    )
    along_axes: bool = False  # whether that blur is a Gaussian whose axes are x and y


@dataclass(frozen=True)
class ProgramStep:
    """One kind of operation, and the images of a group that it is applied to."""

    kind: StepKind
    images: Tensor | None  # (n,) int64 indices within the group; None: all images
    before: Sizes  # of these images before the step
    after: Sizes  # and after it
    padded_size: tuple[int, int]  # the largest height and width in the group after this step
    values: dict[str, Tensor]  # the numbers of the operations by field name, each (n,) float64 or int64
    reach: int  # of a blur: radius of the largest kernel, in px


@dataclass(frozen=True)
class ImageGroup:
    """Images that are degraded together."""

    images: Tensor | None  # (n,) int64 indices within the batch; None: all images
    steps: tuple[ProgramStep, ...]
    sizes: Sizes  # of the degraded images


@dataclass(frozen=True)
class Program:
    """A compiled batch of thetas: what `apply_theta.degrade` does to a batch of images of one size."""

    height: int
    width: int
    groups: tuple[ImageGroup, ...]
    sizes: Sizes  # of the degraded images

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Program":
        """The program on another device."""
        return _mapped(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Program":
        """The program in page-locked memory, from which a GPU can copy in the background."""
        return _mapped(self, torch.Tensor.pin_memory)


def compile_thetas(thetas: Sequence[Theta], height: int, width: int, at_once: int | None = None) -> Program:
    """A program for a batch of images of height x width, one image for each theta.

    at_once: at most how many images are degraded together, images of similar final size in one group. 1 is best on a
    CPU, where a large batch gains nothing; None (the whole batch) is best on a GPU. Raises ValueError without a theta.
    """
    if not thetas:
        raise ValueError("there is no theta")
    final = [_final_shape(theta, (height, width)) for theta in thetas]
    order = sorted(range(len(thetas)), key=lambda i: final[i]) if at_once else list(range(len(thetas)))
    step = at_once or len(thetas)
    members = [order[start : start + step] for start in range(0, len(order), step)]
    groups = tuple(
        _group(images, thetas, (height, width), whole=len(members) == 1 and not at_once) for images in members
    )
    return Program(height, width, groups, sizes_of(final))


@dataclass(frozen=True)
class _Item:
    """An operation, or a blur and the resize after it."""

    kind: StepKind
    operations: tuple[Operation, ...]


def _group(members: list[int], thetas: Sequence[Theta], shape: tuple[int, int], whole: bool) -> ImageGroup:
    """The steps for the images `members` of the batch.

    The next step is always the first kind, in the order of OPERATIONS, that some image needs next. JPEG is the last of
    OPERATIONS: so images that skip an operation wait for the others before JPEG, and JPEG is applied to all at once.
    """
    waiting = [_items(thetas[i])[::-1] for i in members]
    shapes = [shape] * len(members)
    steps = []
    while any(waiting):
        kind = min((items[-1].kind for items in waiting if items), key=_order)
        images = [i for i, items in enumerate(waiting) if items and items[-1].kind == kind]
        operations = [waiting[i].pop().operations for i in images]
        before = [shapes[i] for i in images]
        for i, done in zip(images, operations, strict=True):
            shapes[i] = _after(done[-1], shapes[i])
        padded_size = (max(height for height, _ in shapes), max(width for _, width in shapes))
        after = [shapes[i] for i in images]
        index = None if len(images) == len(members) else torch.tensor(images)
        steps.append(
            ProgramStep(
                kind,
                index,
                sizes_of(before),
                sizes_of(after),
                padded_size,
                _values(operations),
                _reach(operations),
            )
        )
    return ImageGroup(None if whole else torch.tensor(members), tuple(steps), sizes_of(shapes))


def _order(kind: StepKind) -> tuple[int, str, str, bool]:
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
        if isinstance(operation, Resize) and isinstance(before, AnyBlur) and operation.mode in TAP_MODES:
            items[-1] = _Item(
                StepKind(Resize, choice, type(before), _along_axes(before)), (before, operation)
            )
        else:
            items.append(_Item(StepKind(type(operation), choice), (operation,)))
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
    """The numeric fields of the operations as columns, by field name."""
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
    """The program with `change` applied to each of its tensors."""

    def sizes(old: Sizes) -> Sizes:
        return Sizes(old.shapes, change(old.heights), change(old.widths))

    def step(old: ProgramStep) -> ProgramStep:
        return replace(
            old,
            images=_maybe(old.images),
            before=sizes(old.before),
            after=sizes(old.after),
            values={name: change(value) for name, value in old.values.items()},
        )

    def _maybe(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else change(tensor)

    groups = tuple(
        ImageGroup(_maybe(group.images), tuple(map(step, group.steps)), sizes(group.sizes))
        for group in program.groups
    )
    return replace(program, groups=groups, sizes=sizes(program.sizes))
