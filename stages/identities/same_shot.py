"""Copies are no independent evidence: which faces show one shot, one face to stand for it, and one name for it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.people import Faces


def copy_pairs(copies: pa.Table, ids: pa.ChunkedArray) -> tuple[Int64s, Int64s]:
    """The rows in `ids` of the pairs of `copies` that show one shot; pairs of other faces are left out."""
    pairs = copies.filter(pc.equal(copies["kind"], "copy"))
    faces = ids.combine_chunks()
    a, b = (pc.index_in(pairs[name], value_set=faces).fill_null(-1).to_numpy() for name in ("face", "other"))
    known = (a >= 0) & (b >= 0)
    return a[known].astype(np.int64), b[known].astype(np.int64)


def joined(a: Int64s, b: Int64s, count: int) -> Int64s:
    """Numbers for `count` things, equal for those that pairs join, directly or through others."""
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def one_per_shot(faces: Faces) -> tuple[Faces, Int64s, Int64s]:
    """One face, the largest, for all that show one shot under one label.

    Returns these M faces, their rows among the N, and int64 (N,) the number among the M that stands for each. The
    `image` of the M is the photo as it was taken: copies of one photo under one label are one. Their `id` is the
    smallest of those for whom they stand, by which they are sorted: people who are named after a face keep that
    name whatever is said of its copies.
    """
    count = len(faces.id)
    key = _numbers(faces.shot, faces.label)
    best = np.lexsort((np.arange(count), -faces.size_px, key))
    smallest, largest = (np.unique(key[order], return_index=True)[1] for order in (np.arange(count), best))
    by_id = np.argsort(smallest)
    rows = best[largest][by_id]
    number = np.empty(len(rows), np.int64)
    number[by_id] = np.arange(len(rows))
    photo = _photos(faces)
    few = replace(
        faces,
        id=[faces.id[row] for row in smallest[by_id]],
        image=_numbers(photo, faces.label)[rows],
        shot=faces.shot[rows],
        label=faces.label[rows],
        vectors=faces.vectors[rows],
        size_px=faces.size_px[rows],
    )
    return few, rows, number[key]


def _photos(faces: Faces) -> Int64s:
    """For each face the number of its photo, the same for photos that share a shot."""
    images = int(faces.image.max(initial=-1)) + 1
    together = joined(faces.image, images + faces.shot, images + int(faces.shot.max(initial=-1)) + 1)
    return together[faces.image]


def _numbers(one: Int64s, two: Int64s) -> Int64s:
    """A number from 0 for each row, equal where both columns are."""
    one, two = (np.unique(column, return_inverse=True)[1] for column in (one, two))
    return np.asarray(np.unique(one * (two.max(initial=0) + 1) + two, return_inverse=True)[1], np.int64)


def second_names(shot: Int64s, person: Int64s, fitness: NDArray[np.floating]) -> tuple[Int64s, Int64s]:
    """The faces whose shot suits another person better, and for each the face that shows so.

    Where a shot has several people (`person`, NOBODY aside), that of its fittest face keeps it.
    """
    rows = np.flatnonzero(person >= 0)
    order = rows[np.lexsort((rows, -fitness[rows], shot[rows]))]
    first = np.ones(len(order), bool)
    first[1:] = shot[order[1:]] != shot[order[:-1]]
    best = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    loses = person[order] != person[best]
    return order[loses], best[loses]
