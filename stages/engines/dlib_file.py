"""Reads values of dlib's own serialisation (serialize.h, float_details.h, tensor.h), without dlib."""

import math

import numpy as np

from facerefs.schemas.arrays import Float32s

MOST_BYTES = 64 * 2**20  # the face ResNet has 22 MB
_SPECIAL_EXPONENT = 32000  # from here on: infinity and not a number


class WrongFile(Exception):  # noqa: N818  it becomes MissingWeights
    """What was found instead."""


class DlibReader:
    """Each value of a file in turn, of at most 64 MiB; never reads beyond the end. All raise WrongFile."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MOST_BYTES:
            raise WrongFile(f"it is larger than {MOST_BYTES} bytes")
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def bytes(self, count: int) -> memoryview:
        if count > self.left:
            raise WrongFile(f"it ends at byte {len(self._data)}, within a layer")
        self._at += count
        return self._data[self._at - count : self._at]

    def integer(self) -> int:
        """A byte with the sign in its highest bit and the number of bytes in its lowest four, then these bytes."""
        control = self.bytes(1)[0]
        size = control & 0x0F
        if not 1 <= size <= 8:
            raise WrongFile(f"no whole number ends at byte {self._at}")
        magnitude = int.from_bytes(self.bytes(size), "little")
        return -magnitude if control & 0x80 else magnitude

    def real(self) -> float:
        """float_details.h: mantissa and exponent of 2."""
        mantissa, exponent = self.integer(), self.integer()
        if not (abs(mantissa) < 2**63 and abs(exponent) < _SPECIAL_EXPONENT):
            raise WrongFile(f"no finite number ends at byte {self._at}")
        try:
            return math.ldexp(mantissa, exponent)
        except OverflowError:
            raise WrongFile(f"no finite number ends at byte {self._at}") from None

    def flags(self, count: int) -> None:
        if not set(found := bytes(self.bytes(count))) <= set(b"01"):
            raise WrongFile(f"{found!r} stands where true or false should")

    def expect(self, name: str) -> None:
        """A string, which must be this."""
        size = self.integer()
        if size != len(name) or (found := bytes(self.bytes(size))) != name.encode():
            shown = found.decode("ascii", "replace") if size == len(name) else "another layer"
            raise WrongFile(f"{shown} stands where {name} should")

    def expect_integers(self, what: str, *wanted: int) -> None:
        if (found := tuple(self.integer() for _ in wanted)) != wanted:
            raise WrongFile(f"{what} has {found}, not {wanted}")

    def tensor(self) -> Float32s:
        """Version 2: four sides, then float32 from the lowest byte on; flat here."""
        self.expect_integers("the version of a tensor", 2)
        sides = [self.integer() for _ in range(4)]
        if min(sides) < 0 or math.prod(sides) * 4 > self.left:
            raise WrongFile(f"a tensor of {' x '.join(map(str, sides))} is larger than the rest of the file")
        values = np.frombuffer(self.bytes(math.prod(sides) * 4), dtype="<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise WrongFile("a weight is not finite")
        return values

    def parameters(self, count: int) -> Float32s:
        if (values := self.tensor()).size != count:
            raise WrongFile(f"a layer has {values.size} parameters, not {count}")
        return values

    def views(self) -> None:
        """Two of alias_tensor: where in the parameters something lies, which the layer tells already."""
        for _ in range(2 * 5):
            self.integer()

    def rates(self) -> None:
        for _ in range(4):
            self.real()

    def end_of_layer(self) -> None:
        """add_layer's own state: three flags, then gradients and a cached output, which a clean file has empty."""
        self.flags(3)
        for _ in range(3):
            self.tensor()
