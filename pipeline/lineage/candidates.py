"""Why a target has the references that it has: the chosen, the refused, and the other faces of its person."""

import numpy as np

from facerefs.pipeline.lineage.rows import Row, TableRows
from facerefs.pipeline.lineage.trace import Candidate, Choice
from facerefs.schemas.arrays import Float32s
from facerefs.stages.copies.face_features import landmark_distance

MOST_OTHERS = 24
_MEASURED = ("id", "image", "landmarks", "crop_size", "embedding", "yaw", "pitch", "reject")
_SHOTS = ("perhaps the same shot", "the same shot")
_NEAREST = "landmark_nearest"


def choice_of(rows: TableRows, target: str, identity: Row | None) -> Choice:
    """The references of a target, and the faces of its person that are none, nearest landmarks first."""
    pairs = [pair for pair in rows.where("pairs", [target], "target") if pair["target"] == target]
    chosen = sorted((pair for pair in pairs if pair["rank"] is not None), key=lambda pair: pair["rank"])
    refused = [pair for pair in pairs if pair["rank"] is None]
    known = {target, *(str(pair["reference"]) for pair in pairs)}
    others = _others(rows, target, identity, known, chosen)
    split = next(iter(rows.where("splits", [target], "target")), None)
    return Choice(
        target,
        tuple(chosen),
        tuple(refused),
        tuple(others[:MOST_OTHERS]),
        max(len(others) - MOST_OTHERS, 0),
        split,
    )


def _others(
    rows: TableRows, target: str, identity: Row | None, known: set[str], chosen: list[Row]
) -> list[Candidate]:
    person = None if identity is None or identity["reject"] is not None else identity["identity"]
    if person is None:
        return []
    members = rows.where("identities", [person], "identity", columns=("face", "identity", "reject"))
    ids = {str(row["face"]) for row in members if row["reject"] is None} - known
    faces = {
        str(face["id"]): face
        for face in rows.where("faces", {target, *ids}, "id", columns=_MEASURED)
        if face["reject"] is None
    }
    mine = faces.pop(target, None)
    if mine is None:
        return []
    same_shot = {
        str(row["other"] if row["face"] == target else row["face"]): row
        for row in rows.where("copies", [target], "face", "other")
    }
    found = [_candidate(mine, face, chosen, same_shot.get(name)) for name, face in faces.items()]
    return sorted(found, key=lambda one: (_or_far(one.landmark_distance), one.face))


def _candidate(target: Row, face: Row, chosen: list[Row], copy: Row | None) -> Candidate:
    distance = _landmark_distance(target, face)
    return Candidate(
        face=str(face["id"]),
        landmark_distance=distance,
        similarity=_cosine(target, face),
        pose_gap=_pose_gap(target, face),
        why=_why(target, face, distance, chosen)
        if copy is None
        else f"{_SHOTS[copy['kind'] == 'copy']}{_why_copy(copy)}",
    )


def _why_copy(copy: Row) -> str:
    return f": {copy['why']}" if copy["why"] else ""


def _why(target: Row, face: Row, distance: float | None, chosen: list[Row]) -> str:
    if face["image"] == target["image"]:
        return "in the same photo"
    photos = [pair for pair in chosen if pair["synthesis"] is None and pair["elsewhere"] is None]
    strategy = photos[0]["strategy"] if photos else None
    if strategy == "published":
        return "the published list does not name it"
    farthest = max((_or_far(pair["landmark_distance"]) for pair in photos), default=None)
    if strategy == _NEAREST and farthest is not None and distance is not None and distance >= farthest - 1e-6:
        return "its landmarks are farther from the target's"
    if strategy == _NEAREST or not photos:
        return "refused by the copy rule or beyond a limit of select (see build.yaml)"
    return f"behind the chosen ones by {strategy}, refused by the copy rule, or beyond a limit of select"


def _landmark_distance(one: Row, other: Row) -> float | None:
    """Mean L1 over the 68 points, as a share of the crop's side, as `select` measures it."""
    if one["landmarks"] is None or other["landmarks"] is None:
        return None
    return float(landmark_distance(_points(one), _points(other)))


def _points(face: Row) -> Float32s:
    points = np.array(face["landmarks"], np.float32).reshape(-1, 2)
    return np.asarray(points / np.float32(face["crop_size"]))


def _cosine(one: Row, other: Row) -> float | None:
    if not one["embedding"] or not other["embedding"] or len(one["embedding"]) != len(other["embedding"]):
        return None
    return float(np.dot(one["embedding"], other["embedding"]))


def _pose_gap(one: Row, other: Row) -> float | None:
    """The larger of the differences in yaw and in pitch, in degrees."""
    values = [one["yaw"], one["pitch"], other["yaw"], other["pitch"]]
    if any(value is None for value in values):
        return None
    return float(max(abs(values[0] - values[2]), abs(values[1] - values[3])))


def _or_far(value: float | None) -> float:
    return float("inf") if value is None else value
