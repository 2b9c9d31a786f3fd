"""All of trainers can be imported where neither Ray nor any engine is installed: on a bare GPU machine."""

import subprocess
import sys

_ABSENT = (
    "ray dlib insightface faiss onnx onnx2torch onnxruntime face_alignment torchvision lpips basicsr cv2 tensorboard "
    "pipeline"
)
_PROGRAM = f"""
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {_ABSENT.split()!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import trainers
names = [module.name for module in pkgutil.walk_packages(trainers.__path__, "trainers.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_of_trainers_can_be_imported_without_ray_and_engines() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
