"""Read values of dlib's serialisation format (serialize.h, float_details.h, tensor.h), without dlib."""

import math

import numpy as np

from facerefs.schemas.arrays import Float32s

MAX_BYTES = 64 * 2**20  # the face ResNet has 22 MB
_SPECIAL_EXPONENT = 32000  # from here on: infinity and not a number


class InvalidDlibFile(Exception):  # noqa: N818  it becomes MissingWeights
    """The file is not what was expected; the message says what was found instead."""


class DlibReader:
    """Reads the values of a file of at most 64 MiB one after the other. All methods raise InvalidDlibFile."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise InvalidDlibFile(f"it is larger than {MAX_BYTES} bytes")
        self._data = memoryview(data)
        self._at = 0

    @property
    def remaining(self) -> int:
        return len(self._data) - self._at

    def bytes(self, count: int) -> memoryview:
        if count > self.remaining:
            raise InvalidDlibFile(f"it ends at byte {len(self._data)}, within a layer")
        self._at += count
        return self._data[self._at - count : self._at]

    def integer(self) -> int:
        """An integer: a byte with the sign in its highest bit and the size in its lowest four, then so many bytes."""
        control = self.bytes(1)[0]
        size = control & 0x0F
        if not 1 <= size <= 8:
            raise InvalidDlibFile(f"no whole number ends at byte {self._at}")
        magnitude = int.from_bytes(self.bytes(size), "little")
        return -magnitude if control & 0x80 else magnitude

    def real(self) -> float:
        """A real number, as mantissa and exponent of 2 (float_details.h)."""
        mantissa, exponent = self.integer(), self.integer()
        if not (abs(mantissa) < 2**63 and abs(exponent) < _SPECIAL_EXPONENT):
            raise InvalidDlibFile(f"no finite number ends at byte {self._at}")
        try:
            return math.ldexp(mantissa, exponent)
        except OverflowError:
            raise InvalidDlibFile(f"no finite number ends at byte {self._at}") from None

    def skip_flags(self, count: int) -> None:
        if not set(found := bytes(self.bytes(count))) <= set(b"01"):
            raise InvalidDlibFile(f"{found!r} stands where true or false should")

    def expect(self, name: str) -> None:
        """Read a string, and raise InvalidDlibFile if it is not this name."""
        size = self.integer()
        if size != len(name) or (found := bytes(self.bytes(size))) != name.encode():
            shown = found.decode("ascii", "replace") if size == len(name) else "another layer"
            raise InvalidDlibFile(f"{shown} stands where {name} should")

    def expect_integers(self, what: str, *wanted: int) -> None:
        if (found := tuple(self.integer() for _ in wanted)) != wanted:
            raise InvalidDlibFile(f"{what} has {found}, not {wanted}")

    def tensor(self) -> Float32s:
        """A tensor (N,) float32, flattened. Version 2 of the format: four sides, then little-endian float32."""
        self.expect_integers("the version of a tensor", 2)
        sides = [self.integer() for _ in range(4)]
        if min(sides) < 0 or math.prod(sides) * 4 > self.remaining:
            raise InvalidDlibFile(
                f"a tensor of {' x '.join(map(str, sides))} is larger than the rest of the file"
            )
        values = np.frombuffer(self.bytes(math.prod(sides) * 4), dtype="<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise InvalidDlibFile("a weight is not finite")
        return values

    def parameters(self, count: int) -> Float32s:
        if (values := self.tensor()).size != count:
            raise InvalidDlibFile(f"a layer has {values.size} parameters, not {count}")
        return values

    def skip_views(self) -> None:
        """Skip two alias_tensor records: offsets into the parameters, which follow from the layer."""
        for _ in range(2 * 5):
            self.integer()

    def skip_rates(self) -> None:
        for _ in range(4):
            self.real()

    def skip_end_of_layer(self) -> None:
        """Skip the state of add_layer: three flags, then gradients and a cached output, empty in a clean file."""
        self.skip_flags(3)
        for _ in range(3):
            self.tensor()
