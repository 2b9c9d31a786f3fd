"""Defaults are no part of a fingerprint: who changes one raises the version of its stage, or old rows stay.

After a new setting, a removed one, or a raised version, paste what the second test prints over RECORDED.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import yaml

from facerefs.pipeline.config.config import Config, to_tree
from facerefs.pipeline.storage.fingerprint import changed_settings, text_digest
from facerefs.stages.degrade import recipe
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.fetch import Fetch
from facerefs.trainers.loop.settings import to_dict

PARTS_OF_RECIPES = (
    *(recipe.Recipe, recipe.Pass, recipe.BlurKinds, recipe.RandomBlur, recipe.RandomResize),
    *(recipe.RandomNoise, recipe.RandomColour, recipe.FinalPass),
)
RECORDED = """
fetch: {version: 1, respect_robots: true, respect_opt_outs: true, allow_private_hosts: false,
  max_redirects: 5, max_bytes: 33554432}
crawl: {version: 4, copy: false, max_bytes: 67108864, max_pixels: 80000000, min_side_px: 64}
dedupe: {version: 2, max_distance: 10, max_detail_distance: 40}
analyse: {version: 5, detector: dlib, landmarks: dlib, embedder: dlib, parser: none, detector_weights: null,
  landmarks_weights: null, embedder_weights: null, parser_weights: null, device: cpu, detect_side_px: null, upsample: 0,
  max_faces: 8, crop_size: 512, align: ffhq, max_misaligned: 0.1, min_face_px: 256.0, max_outside: 0.3,
  max_yaw_deg: null, min_sharpness: 15.0, max_niqe: null, niqe: true, max_brisque: null, brisque: false}
compare:
  version: 3
  rule: {hash_bits: 6, same_shot_hash_bits: 12, landmarks: 0.008, copy_similarity: null, same_shot_similarity: null,
    session_similarity: null}
  neighbours: 8
cluster: {version: 5, labels: check, same: null, min_faces: 2, min_split: 3, neighbours: 64}
made_elsewhere:
  version: 1
  folder: null
  licence: null
  per_target: 8
  min_similarity: null
select:
  version: 3
  strategy: landmark_nearest
  references: 1
  min_references: 1
  synthesise: 0
  synthesise_beside: false
  seed: 0
  rule: {hash_bits: 6, same_shot_hash_bits: 12, landmarks: 0.008, copy_similarity: null, same_shot_similarity: null,
    session_similarity: null}
  same_session: false
  min_similarity: null
  max_similarity: null
  max_pose_gap_deg: null
  min_size_ratio: null
  min_reference_sharpness: null
  max_reference_niqe: null
  max_reference_brisque: null
shard:
  version: 2
  recipe: gfpgan
  seed: 0
  shard_mb: 256.0
  image_format: jpeg
  jpeg_quality: 98
  val_share: 0.05
  test_share: 0.05
  test_people: null
  contact: null
  Recipe: {ending: null}
  Pass: {blur: null, resize: null, noise: null, colour: null, jpeg_quality: null}
  BlurKinds: {isotropic: 0.0, anisotropic: 0.0, motion: 0.0, generalised_isotropic: 0.0, generalised_anisotropic: 0.0,
    plateau_isotropic: 0.0, plateau_anisotropic: 0.0}
  RandomBlur:
    kinds: {isotropic: 1.0, anisotropic: 1.0, motion: 0.0, generalised_isotropic: 0.0, generalised_anisotropic: 0.0,
      plateau_isotropic: 0.0, plateau_anisotropic: 0.0}
    taps: [41, 41]
    sigma_px: [0.1, 10.0]
    motion_px: [1.0, 41.0]
    generalised_beta: [0.5, 4.0]
    plateau_beta: [1.0, 2.0]
    chance: 1.0
    sinc_chance: 0.0
    sinc_cutoff_rad: [1.0471975511965976, 3.141592653589793]
    sinc_cutoff_from_13_taps_rad: [0.6283185307179586, 3.141592653589793]
  RandomResize:
    reduction: null
    reduction_choices: []
    factor: null
    base_reduction: 1.0
    up: 1.0
    down: 1.0
    keep: 0.0
    modes: [bilinear]
  RandomNoise:
    sigma: [0.0, 20.0]
    poisson_scale: [0.05, 3.0]
    poisson_chance: 0.0
    gray_chance: 0.0
  RandomColour:
    shift_chance: 0.0
    shift: 20.0
    gray_chance: 0.0
    jitter_chance: 0.0
    brightness: [0.5, 1.5]
    contrast: [0.5, 1.5]
    saturation: [0.0, 1.5]
    hue: [-0.1, 0.1]
  FinalPass:
    reduction: 4.0
    modes: [area, bilinear, bicubic]
    sinc_chance: 0.8
    sinc_taps: [7, 21]
    sinc_cutoff_rad: [1.0471975511965976, 3.141592653589793]
    jpeg_quality: [30, 95]
    jpeg_last_chance: 0.5
  named recipes: {gfpgan: bfcc9a1f, gfpgan_colour: 36c26af4, rdfr: 5ff32f11, posevaried: c4aa20eb,
    refine: 8450d545, moderate: 9cba228f, severe: 571f1981, refldm: fbadf3fd, faceme: 9165df64,
    bicubic: 2f372bbf, bicubic_x8: 4b6cd33a, bicubic_x16: e9c3bca8, realesrgan: 6ec0c2b8}
"""


def now() -> dict[str, Any]:
    """The stages that have settings: their versions and defaults."""
    config = Config()
    tree = to_tree(config)
    tree["fetch"] = {name: tree["fetch"][name] for name in Fetch.rules}
    tree["shard"] |= {part.__name__: defaults(part) for part in PARTS_OF_RECIPES}
    for stage in ("compare", "select"):
        tree[stage]["rule"] = tree["copies"]["rule"]
    # What a name stands for is as good as a default: no digest says it.
    tree["shard"]["named recipes"] = {
        name: text_digest(json.dumps(changed_settings(known)))[:8] for name, known in RECIPES.items()
    }
    stages = (
        "fetch",
        "crawl",
        "dedupe",
        "analyse",
        "compare",
        "cluster",
        "made_elsewhere",
        "select",
        "shard",
    )
    return {name: {"version": getattr(config, name).version, **tree[name]} for name in stages}


def defaults(part: Any) -> dict[str, Any]:
    return {one.name: to_dict(one.default) for one in fields(part) if one.default is not MISSING}


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_a_changed_default_has_a_raised_version() -> None:
    for stage, recorded in yaml.safe_load(RECORDED).items():
        known = dict(flat(now()[stage]))
        before = dict(flat(recorded))
        if known["version"] == before["version"]:
            changed = {name for name in before.keys() & known.keys() if before[name] != known[name]}
            assert not changed, f"raise the version of {stage}: its rows are others by default"


def test_all_defaults_are_recorded() -> None:
    written = yaml.safe_dump(now(), sort_keys=False, default_flow_style=None, width=90)
    assert yaml.safe_load(RECORDED) == now(), f"record these:\n{written}"
