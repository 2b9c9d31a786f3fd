"""facerefs installed from its wheel, beside a user's own packages `trainers` and `pipeline`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facerefs.stages.synthetic_people.folder import write_people

ROOT = Path(__file__).parents[2]
PARTS = ("facerefs", "pipeline", "stages", "schemas", "trainers")

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with facerefs in it, and nothing of this checkout."""
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"
    source.mkdir()
    for part in PARTS:
        shutil.copytree(
            ROOT / part, source / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(place / "site"), str(source)], check=True, timeout=300)
    return place / "site"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder, with packages whose names are those of the folders in our repository."""
    for name in ("trainers", "pipeline", "stages", "schemas"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"MINE = {name!r}\n")
    return tmp_path


def run(script: str, folder: Path, site: Path) -> str:
    path = folder / "script.py"
    path.write_text(script)
    environment = os.environ | {"PYTHONPATH": str(site), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, str(path)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_facerefs_is_installed(site: Path) -> None:
    assert sorted(path.name for path in site.iterdir() if path.suffix != ".dist-info") == ["bin", "facerefs"]
    assert (site / "facerefs" / "py.typed").is_file()
    assert not (site / "facerefs" / "pipeline").is_symlink()


def test_every_name_is_found_beside_the_users_packages(project: Path, site: Path) -> None:
    script = (
        "import facerefs, trainers, pipeline, stages, schemas\n"
        "assert [trainers.MINE, pipeline.MINE, stages.MINE, schemas.MINE]\n"
        "[getattr(facerefs, name) for name in facerefs.__all__]\n"
        "from facerefs.trainers.models.catalogue import MODULES, presets\n"
        "[presets(name) for name in MODULES]\n"
        "print(facerefs.__file__)\n"
    )
    assert run(script, project, site).strip() == str(site / "facerefs" / "__init__.py")


def test_workers_of_ray_find_it_beside_the_users_packages(project: Path, site: Path) -> None:
    list(write_people(project / "photos", identities=3, per_identity=3, size_px=480, seed=3))
    script = (
        "import facerefs\n"
        "if __name__ == '__main__':\n"
        "    settings = {'analyse.niqe': False, 'shard.val_share': 0.0, 'shard.test_share': 0.0}\n"
        "    made = facerefs.build('photos', 'set', labels='trust', settings=settings, workers=1)\n"
        "    batches = facerefs.stream('set', 2, workers=1)\n"
        "    print(len(made), tuple(next(batches).degraded.shape))\n"
    )
    samples, shape = run(script, project, site).strip().splitlines()[-1].split(" ", 1)
    assert int(samples) >= 6
    assert shape == "(2, 3, 512, 512)"
    assert (project / "set" / "report.html").is_file()
