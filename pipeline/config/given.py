"""Settings of published pairs and splits: where the files are, and what their columns are called."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GivenColumns:
    """The names of the columns in published lists; null finds one by its usual names."""

    target: str | None = None
    """Column that names the photo of the ground truth, such as `gt_image`."""
    references: str | None = None
    """Column that names the photo of a reference or a list of them, best first, such as `ref_image`."""
    degraded: str | None = None
    """Column that names the file of the degraded image, such as `lq_image`; `none`: such a column is not used."""
    photo: str | None = None
    """Column of a list of splits that names a photo."""
    person: str | None = None
    """Column of a list of splits that names a person."""
    split: str | None = None
    """Column that says the split: train, val or test; `none`: such a column is not used."""


@dataclass(frozen=True)
class Given:
    """Published lists that take the place of `select` and of the drawn split."""

    pairs: tuple[str, ...] = ()
    """Files of pairs: csv, tsv, jsonl or Parquet."""
    splits: tuple[str, ...] = ()
    """Lists of the photos or people of each split: files named by their split, such as `test_image.txt`, folders of
    these, or lists with a column for it."""
    degraded_folder: str | None = None
    """Folder of the degraded images that the pairs name; null: the folder of the file of pairs."""
    columns: GivenColumns = field(default_factory=GivenColumns)
