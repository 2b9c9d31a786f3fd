"""Photos of people in, verified training data for reference-based face restoration out.

    import facerefs

    if __name__ == "__main__":
        training_set = facerefs.build("photos/", "set/", settings={"analyse.crop_size": 1024})
        training_set = facerefs.open_set("set/")  # a build, or a copy of its samples
        training_set.splits  # {"train": 912, "val": 88}
        training_set.samples("val")[0].target.image  # (512, 512, 3) uint8

        drawn = facerefs.FacePreparation(seed=1, references=1, degradation="gfpgan")
        for batch in facerefs.stream("set/", 16, drawn, device="cuda"):
            ...

        facerefs.train("refine", "set/", "runs/refine", preset="tiny", steps=1000)
        facerefs.restore("runs/refine", "blurred.jpg", "restored.png", references=["sharp.jpg"])
        facerefs.evaluate({"ours": "runs/refine", "theirs": "outputs/"}, "set/", out="evaluation/")

The names below are the Python interface; what else the packages hold may change. Each is imported when it is first
used, so that `import facerefs` costs nothing, and a machine that only trains needs nothing that finds faces.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facerefs.pipeline.api import build as build
    from facerefs.pipeline.api import evaluate as evaluate
    from facerefs.pipeline.api import merge as merge
    from facerefs.pipeline.api import restore as restore
    from facerefs.pipeline.api import train as train
    from facerefs.pipeline.errors import RunError as RunError
    from facerefs.pipeline.errors import UserError as UserError
    from facerefs.pipeline.evaluation.result import Evaluation as Evaluation
    from facerefs.pipeline.restoring.result import Restoration as Restoration
    from facerefs.pipeline.restoring.result import RestoredPhoto as RestoredPhoto
    from facerefs.pipeline.restoring.result import RestoreError as RestoreError
    from facerefs.stages.degrade.recipe import Recipe as Recipe
    from facerefs.trainers.api import stream as stream
    from facerefs.trainers.stream.batches.device import DeviceBatches as DeviceBatches
    from facerefs.trainers.stream.batches.device_batch import DeviceBatch as DeviceBatch
    from facerefs.trainers.stream.errors import StreamError as StreamError
    from facerefs.trainers.stream.samples.prepare import FacePreparation as FacePreparation
    from facerefs.trainers.stream.samples.sample import Face as Face
    from facerefs.trainers.stream.samples.sample import Sample as Sample
    from facerefs.trainers.stream.stream import Source as Source
    from facerefs.trainers.training_set import TrainingSet as TrainingSet
    from facerefs.trainers.training_set import open_set as open_set

_MODULES = {
    "DeviceBatches": "trainers.stream.batches.device",
    "Evaluation": "pipeline.evaluation.result",
    "Face": "trainers.stream.samples.sample",
    "FacePreparation": "trainers.stream.samples.prepare",
    "DeviceBatch": "trainers.stream.batches.device_batch",
    "Recipe": "stages.degrade.recipe",
    "Restoration": "pipeline.restoring.result",
    "RestoredPhoto": "pipeline.restoring.result",
    "RestoreError": "pipeline.restoring.result",
    "RunError": "pipeline.errors",
    "Sample": "trainers.stream.samples.sample",
    "Source": "trainers.stream.stream",
    "StreamError": "trainers.stream.errors",
    "TrainingSet": "trainers.training_set",
    "UserError": "pipeline.errors",
    "build": "pipeline.api",
    "evaluate": "pipeline.api",
    "merge": "pipeline.api",
    "open_set": "trainers.training_set",
    "restore": "pipeline.api",
    "stream": "trainers.api",
    "train": "pipeline.api",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'facerefs' has no attribute {name!r}")
    return getattr(import_module(f"facerefs.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
