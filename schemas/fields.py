"""Fields of a JSON object as data: name, type, unit, range and meaning, from which checks and tables are made.

A kind says what a value may be. Its `fault` is None for such a value, else one sentence that begins with the value's
place, such as `target.yaw`: values may be a stranger's.
"""

import re
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.operations import shown

ALWAYS = ""


class Kind(Protocol):
    """What a value may be."""

    @property
    def type(self) -> str:
        """Its type as tables show it, such as `68 x 2 numbers`."""

    @property
    def range(self) -> str:
        """Its range as tables show it; empty if there is none."""

    def fault(self, place: str, value: Any) -> str | None:
        """What is wrong with a value: one sentence that begins with its place, or None."""


@dataclass(frozen=True)
class Field:
    """A field of a JSON object."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    when: str = ALWAYS  # or when it is there, such as `if the source says so`

    @property
    def required(self) -> bool:
        """Whether it is in every object."""
        return self.when == ALWAYS


@dataclass(frozen=True)
class Text:
    """A text that is not empty: at most so many characters, one of `choices`, or of a `form`, which `pattern` tests."""

    longest: int = 512
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""

    @property
    def type(self) -> str:
        return "text"

    @property
    def range(self) -> str:
        return self.form or ", ".join(self.choices) or f"1 to {self.longest} characters"

    def fault(self, place: str, value: Any) -> str | None:
        if isinstance(value, str) and 0 < len(value) <= self.longest:
            if self.choices:
                fits = value in self.choices
            else:
                fits = not self.pattern or re.fullmatch(self.pattern, value) is not None
            if fits:
                return None
        return f"{place} is a text ({self.range}), not {shown(value)}"


@dataclass(frozen=True)
class Whole:
    """A whole number; both ends are allowed."""

    low: int
    high: int | None = None

    @property
    def type(self) -> str:
        return "whole number"

    @property
    def range(self) -> str:
        if self.high is None:
            return f"from {self.low}"
        return f"{self.low} to {self.high}" if self.high > self.low else str(self.low)

    def fault(self, place: str, value: Any) -> str | None:
        if type(value) is int and self.low <= value and (self.high is None or value <= self.high):
            return None
        return f"{place} is a whole number ({self.range}), not {shown(value)}"


@dataclass(frozen=True)
class Number:
    """A finite number; both ends are allowed, and a figure may lie beyond them by its `rounding`."""

    low: float
    high: float
    rounding: float = 0.0

    @property
    def type(self) -> str:
        return "number"

    @property
    def range(self) -> str:
        return f"{figure(self.low)} to {figure(self.high)}"

    def fault(self, place: str, value: Any) -> str | None:
        is_number = type(value) is float or type(value) is int
        if is_number and self.low - self.rounding <= value <= self.high + self.rounding:  # false for NaN
            return None
        return f"{place} is a number ({self.range}), not {shown(value)}"


@dataclass(frozen=True)
class Numbers:
    """Finite numbers in lists of this shape, none further from 0 than `farthest`."""

    shape: tuple[int, ...]
    farthest: float

    @property
    def type(self) -> str:
        return f"{' x '.join(map(str, self.shape))} numbers"

    @property
    def range(self) -> str:
        return f"{figure(-self.farthest)} to {figure(self.farthest)}"

    def fault(self, place: str, value: Any) -> str | None:
        try:
            self.array(place, value)
        except ValueError as error:
            return str(error)
        return None

    def array(self, place: str, value: Any) -> NDArray[np.float32]:
        """The numbers as an array. Raises ValueError with the fault."""
        try:
            numbers = np.array(value)
        except ValueError:  # ragged
            numbers = np.zeros(0, object)
        if (
            numbers.dtype.kind not in "iuf"
            or numbers.shape != self.shape
            or not bool(((-self.farthest <= numbers) & (numbers <= self.farthest)).all())  # false for NaN
        ):
            raise ValueError(
                f"{place} is not finite numbers of shape {self.shape} ({self.range}): {shown(value)}"
            )
        return numbers.astype(np.float32)


@dataclass(frozen=True)
class UnitVector:
    """Numbers whose squares have the sum 1, or nearly."""

    longest: int
    rounding: float = 0.01

    @property
    def type(self) -> str:
        return "D numbers"

    @property
    def range(self) -> str:
        return f"length 1; D is 1 to {self.longest}"

    def fault(self, place: str, value: Any) -> str | None:
        try:
            self.array(place, value)
        except ValueError as error:
            return str(error)
        return None

    def array(self, place: str, value: Any) -> NDArray[np.float32]:
        """The numbers as an array. Raises ValueError with the fault."""
        if not isinstance(value, list) or not 0 < len(value) <= self.longest:
            raise ValueError(f"{place} is a list of 1 to {self.longest}, not {shown(value)}")
        vector = Numbers((len(value),), 1 + self.rounding).array(place, value)
        length = sqrt(float(vector @ vector))
        if abs(length - 1) > self.rounding:
            raise ValueError(f"{place} is a vector of length {length:.3g} and not 1")
        return vector


@dataclass(frozen=True)
class Object:
    """An object of these fields, and of no others unless `others` are allowed."""

    fields: tuple[Field, ...]
    others: bool = False

    @property
    def type(self) -> str:
        return "object"

    @property
    def range(self) -> str:
        return ""

    def fault(self, place: str, value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"{place or 'it'} is an object, not {shown(value)}"
        inner = f"{place}." if place else ""
        for field in self.fields:
            if field.name in value:
                if fault := field.kind.fault(f"{inner}{field.name}", value[field.name]):
                    return fault
            elif field.required:
                return f"{inner}{field.name} is missing"
        if not self.others and (unknown := sorted(value.keys() - {field.name for field in self.fields})):
            return f"{place or 'it'} has the unknown field {shown(unknown[0])}"
        return None


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind, of any length unless `longest` is given."""

    item: Kind
    longest: int | None = None

    @property
    def type(self) -> str:
        return f"list of {self.item.type}s"

    @property
    def range(self) -> str:
        return "" if self.longest is None else f"0 to {self.longest}"

    def fault(self, place: str, value: Any) -> str | None:
        if not isinstance(value, list):
            return f"{place} is a list, not {shown(value)}"
        if self.longest is not None and len(value) > self.longest:
            return f"{place} is a list of at most {self.longest}, not of {len(value)}"
        faults = (self.item.fault(f"{place}.{number}", one) for number, one in enumerate(value))
        return next((fault for fault in faults if fault), None)


def figure(number: float) -> str:
    """A number as ranges show it, with 4 decimals at most."""
    return f"{round(number, 4):.16g}"
