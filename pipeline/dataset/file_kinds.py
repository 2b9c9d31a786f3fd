"""The kinds of files that the samples of a set have, such as `ref0.jpg`: what Croissant and the Hub's metadata list."""

from dataclasses import dataclass

from facerefs.schemas.sample import (
    DEGRADED,
    GROUND_TRUTH,
    JSON,
    MASK,
    REFERENCE,
    REFERENCE_MASK,
    SampleFile,
)


@dataclass(frozen=True)
class FileKind:
    """One kind of file in the samples of a set."""

    file: SampleFile
    extension: str
    number: int | None = None

    @property
    def kind(self) -> str:
        """The kind without its extension, such as `ref0`."""
        return self.file.numbered_kind(self.number)

    @property
    def file_name(self) -> str:
        """The name of the file after the key and the dot, such as `ref0.jpg`."""
        return self.file.name(self.extension, self.number)

    @property
    def meaning(self) -> str:
        """A sentence that describes it."""
        return self.file.says(self.number)


def file_kinds(references: int, extension: str, degraded: str, masks: bool = False) -> list[FileKind]:
    """All kinds in a set.

    references: the largest number of references of a sample. extension: of ground truth and references, such as
    `jpg`. degraded: the extension of the degraded face. masks: whether faces have masks.
    """
    kinds = [FileKind(GROUND_TRUTH, extension), FileKind(DEGRADED, degraded), FileKind(JSON, "json")]
    kinds += [FileKind(REFERENCE, extension, number) for number in range(references)]
    if masks:
        kinds += [FileKind(MASK, "png"), *(FileKind(REFERENCE_MASK, "png", i) for i in range(references))]
    return kinds
