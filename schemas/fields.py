"""Definitions of the fields of a JSON object: name, type, unit, range and meaning. Checks and tables use them.

A kind defines the allowed values. Its `fault` returns None for an allowed value, else one sentence that begins with
the place of the value, such as `target.yaw`. Values are not trusted.
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
    """The type and range of a value, with a check."""

    @property
    def type(self) -> str:
        """The type as shown in tables, such as `68 x 2 numbers`."""

    @property
    def range(self) -> str:
        """The range as shown in tables; empty if there is none."""

    def fault(self, place: str, value: Any) -> str | None:
        """None for an allowed value, else one sentence that begins with its place."""


@dataclass(frozen=True)
class Field:
    """A field of a JSON object."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    when: str = ALWAYS  # or the condition under which it is present, such as `if the source says so`

    @property
    def required(self) -> bool:
        """Whether the field is in every object."""
        return self.when == ALWAYS


@dataclass(frozen=True)
class Text:
    """A non-empty text of at most `longest` characters: one of `choices`, or as `pattern`, which `form` describes."""

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
    """An integer from `low` to `high`, both included; no upper bound if None."""

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
    """A finite number from `low` to `high`, both included, with a tolerance of `rounding`."""

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
    """Nested lists of finite numbers of this shape, with absolute values of at most `farthest`."""

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
    """A vector of 1 to `longest` numbers with Euclidean length 1, up to `rounding`."""

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
    """An object with these fields, and no others unless `others` is True."""

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
    """A list of values of one kind, of at most `longest` items; any length if None."""

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


@dataclass(frozen=True)
class OneOrMany:
    """One value of a kind, or a list of at least two and at most `longest`."""

    item: Kind
    longest: int

    @property
    def type(self) -> str:
        return f"{self.item.type} or list of {self.item.type}s"

    @property
    def range(self) -> str:
        return f"1, or 2 to {self.longest}"

    def fault(self, place: str, value: Any) -> str | None:
        if not isinstance(value, list):
            return self.item.fault(place, value)
        if len(value) < 2:
            return f"{place} is a list of at least 2, not of {len(value)}"
        return ListOf(self.item, self.longest).fault(place, value)


def figure(number: float) -> str:
    """A number as text for ranges, with at most 4 decimals."""
    return f"{round(number, 4):.16g}"
