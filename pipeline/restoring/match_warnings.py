"""What a user must know about which faces were taken, and whether they are one person's."""

import math
from collections.abc import Iterable, Sequence

from facerefs.pipeline.restoring.find_faces import PhotoFaces
from facerefs.pipeline.restoring.same_person import Match

# Below it an embedder hardly tells. Of faces reduced to so many of 512 px, so many have less than `same` to a photo of
# the same person (dlib and ArcFace, 30 photos of 5 people): 128 px (sharpness 3 to 7) 0 and 2 %, 96 (2 to 5) 3 %, 64
# (2 to 3) 7 and 11 %, 48 29 %, 32 77 and 89 %; to photos of others always at least 99.5 %. Noise hides blur from it.
_TELLING_SHARPNESS = 4.0
_SHARP = 40


def largest_of(faces: PhotoFaces, hint: str) -> list[str]:
    """That the largest face was taken, of several and without a reference."""
    if len(faces) == 1:
        return []
    return [f"it shows {len(faces)} faces: the largest was taken, {faces.where(0)}; {hint}"]


def match_warnings(
    faces: PhotoFaces, references: Sequence[PhotoFaces], found: Match, same: float, sharpness: float
) -> list[str]:
    """The faces that were chosen of several, and the references that do not look like the face.

    same: the cosine that two faces of one person have at least. sharpness: of the face, as a build measures it.
    """
    warnings = []
    if len(faces) > 1:
        others = sorted((value for n, value in enumerate(found.likeness) if n != found.face), reverse=True)
        warnings.append(
            f"it shows {len(faces)} faces: the one most like the {_references(len(references))} was taken "
            f"({found.likeness[found.face]:.3f}; the others {_figures(others)}), {faces.where(found.face)}"
            f"{_twice(others, same, 'the ' + _references(len(references)))}"
            f"{_none(found.likeness[found.face], same)}"
        )
    for number, reference in enumerate(references):
        warnings += _on_reference(faces, reference, found, number, same, sharpness)
    return warnings


def _on_reference(
    faces: PhotoFaces, reference: PhotoFaces, found: Match, number: int, same: float, sharpness: float
) -> list[str]:
    path = reference.photo.path
    warnings = [f"reference {path}: {text}" for text in reference.warnings]
    if path.resolve() == faces.photo.path.resolve():
        warnings.append(
            f"reference {path} is the photo itself: it can add nothing, give another one of the person"
        )
    if len(reference) > 1:
        taken, like = found.references[number], found.likenesses[number]
        others = sorted((value for n, value in enumerate(like) if n != taken), reverse=True)
        whom = "the face" if found.by_target else "the other references"
        warnings.append(
            f"reference {path} shows {len(reference)} faces: the one most like {whom} was taken "
            f"({like[taken]:.3f}; the others {_figures(others)}), {reference.where(taken)}"
            f"{_twice(others, same, whom)}"
        )
    similarity = found.similarities[number]
    if similarity < same:
        warnings.append(
            f"reference {path} {_doubt(sharpness)}: their similarity is {similarity:.3f}, and two photos of one "
            f"person have {same:g} or more ({_embedder(faces)}){_others(float(found.among[number]))}{_blur(sharpness)}"
        )
    return warnings


def _doubt(sharpness: float) -> str:
    return "does not look like the person" if sharpness >= _TELLING_SHARPNESS else "may show somebody else"


def _blur(sharpness: float) -> str:
    if sharpness >= _TELLING_SHARPNESS:
        return ""
    return (
        f"; the face is so blurred (sharpness {sharpness:.1f}, a sharp one has {_SHARP}) that the right person "
        "may have less, too"
    )


def _others(among: float) -> str:
    return "" if math.isnan(among) else f"; to the other references it has {among:.3f}"


def _twice(others: Sequence[float], same: float, whom: str) -> str:
    return f"; another of them looks like {whom}, too" if others and others[0] >= same else ""


def _none(best: float, same: float) -> str:
    return f"; none of them reaches {same:g}, so it may be the wrong one" if best < same else ""


def _references(count: int) -> str:
    return "reference" if count == 1 else "references"


def _figures(values: Iterable[float]) -> str:
    shown = [f"{value:.3f}" for value in values]
    return ", ".join(shown[:3]) + (" ..." if len(shown) > 3 else "")


def _embedder(faces: PhotoFaces) -> str:
    """The embedder of the figures, and whose threshold is used if its own was never measured."""
    from facerefs.stages.engines.calibration import fallback_of

    name = "" if faces.engines.embedder is None else faces.engines.embedder.name
    lender = fallback_of(name)
    return name if lender is None else f"{name}, by the threshold of {lender}"
