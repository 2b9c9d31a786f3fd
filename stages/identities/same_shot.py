"""Faces of one shot: copies are no independent evidence, so one face stands for all, and the shot has one name."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.people import Faces
from facerefs.stages.room import take_rows


def copy_pairs(copies: pa.Table, ids: pa.ChunkedArray) -> tuple[Int64s, Int64s]:
    """The rows in `ids` of the pairs of `copies` that show one shot; pairs of other faces are left out."""
    pairs = copies.filter(pc.equal(copies["kind"], "copy"))
    faces = ids.combine_chunks()
    a, b = (pc.index_in(pairs[name], value_set=faces).fill_null(-1).to_numpy() for name in ("face", "other"))
    known = (a >= 0) & (b >= 0)
    return a[known].astype(np.int64), b[known].astype(np.int64)


def component_numbers(a: Int64s, b: Int64s, count: int) -> Int64s:
    """The connected component of each of `count` nodes, int64 (count,). a, b: the nodes that each edge joins."""
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def one_per_shot(faces: Faces) -> tuple[Faces, Int64s, Int64s]:
    """One face, the largest, for all faces of one shot with one label.

    Returns these M faces, their rows among the N, and int64 (N,) the number among the M of the face that stands for
    each. Copies of one photo under one label share one `image`. The `id` of each of the M is the smallest id of the
    faces for which it stands, and they are sorted by it: so a person who is named after a face keeps that name
    whatever override lines decide about copies of it.
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
    representatives = replace(
        faces,
        id=[faces.id[row] for row in smallest[by_id]],
        image=_numbers(photo, faces.label)[rows],
        shot=faces.shot[rows],
        label=faces.label[rows],
        vectors=take_rows(faces.vectors, rows, faces.room),
        size_px=faces.size_px[rows],
    )
    return representatives, rows, number[key]


def _photos(faces: Faces) -> Int64s:
    """For each face the number of its photo, the same for photos that share a shot."""
    images = int(faces.image.max(initial=-1)) + 1
    together = component_numbers(
        faces.image, images + faces.shot, images + int(faces.shot.max(initial=-1)) + 1
    )
    return together[faces.image]


def _numbers(one: Int64s, two: Int64s) -> Int64s:
    """A number from 0 for each row, equal where both columns are."""
    one, two = (np.unique(column, return_inverse=True)[1] for column in (one, two))
    return np.asarray(np.unique(one * (two.max(initial=0) + 1) + two, return_inverse=True)[1], np.int64)


def second_names(shot: Int64s, person: Int64s, fitness: NDArray[np.floating]) -> tuple[Int64s, Int64s]:
    """The faces whose shot is another person by a face that suits better, and those faces: rows, of one length.

    If the faces of a shot have several people (`person`, UNASSIGNED apart), the shot keeps that of its fittest face.
    """
    rows = np.flatnonzero(person >= 0)
    order = rows[np.lexsort((rows, -fitness[rows], shot[rows]))]
    first = np.ones(len(order), bool)
    first[1:] = shot[order[1:]] != shot[order[:-1]]
    best = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    loses = person[order] != person[best]
    return order[loses], best[loses]
