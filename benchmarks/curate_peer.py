"""imagededup's PHash over a folder of photos, run by a Python that has it: `PYTHON curate_peer.py FOLDER RESULT`.

Writes JSON: seconds of `find_duplicates` alone (hashes made before), and the pairs of photos it found. Torch,
torchvision and matplotlib, which imagededup imports for its other methods, are not needed and not imported.
"""

import json
import sys
import time
from pathlib import Path
from types import ModuleType

_UNUSED = {
    "methods.cnn": "CNN",
    "utils.plotter": "plot_duplicates",
    "utils.models": "CustomModel",
    "utils.data_generator": "img_dataloader",
}


def main() -> None:
    """Hash, search, write."""
    for name, attribute in _UNUSED.items():
        stub = ModuleType(f"imagededup.{name}")
        setattr(stub, attribute, None)
        sys.modules[stub.__name__] = stub
    from imagededup.methods import PHash  # type: ignore[import-not-found, unused-ignore]

    folder, result = map(Path, sys.argv[1:])
    hasher = PHash(verbose=False)
    hashes = hasher.encode_images(str(folder), num_enc_workers=2)
    started = time.perf_counter()
    found = hasher.find_duplicates(encoding_map=hashes, max_distance_threshold=10, num_dist_workers=2)
    seconds = time.perf_counter() - started
    pairs = [(int(Path(a).stem), int(Path(b).stem)) for a, others in found.items() for b in others]
    result.write_text(json.dumps({"seconds": seconds, "pairs": pairs}))


if __name__ == "__main__":
    main()
