"""All layouts, by their names in `facerefs export --to`."""

from collections.abc import Mapping

from facerefs.pipeline.export import basicsr, coco, codeformer, dmdnet, ffhq, folders, gfpgan, refldm
from facerefs.pipeline.export.layout import LayoutKind

LAYOUTS: Mapping[str, LayoutKind] = {
    "folders": folders.KIND,
    "ffhq": ffhq.KIND,
    "gfpgan": gfpgan.KIND,
    "basicsr": basicsr.KIND,
    "basicsr-lmdb": basicsr.LMDB_KIND,
    "codeformer": codeformer.KIND,
    "refldm": refldm.KIND,
    "dmdnet": dmdnet.KIND,
    "coco": coco.KIND,
}


def choices() -> list[tuple[str, str]]:
    """Each layout with its sentence and its split, for the help."""
    return [
        (name, f"{kind.sentence} ({'all splits' if kind.split == 'all' else kind.split})")
        for name, kind in LAYOUTS.items()
    ]
