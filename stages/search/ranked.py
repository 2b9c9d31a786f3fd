"""The best rows of an index for each query, in an order that does not depend on how the index is cut into blocks."""

from typing import Any, NamedTuple

import numpy as np

from facerefs.schemas.arrays import Float32s, Int64s

NOT_FOUND = -2.0


class Probes(NamedTuple):
    """The inverted lists that each query is compared with: similarity of their centres, float32 (m, P), and numbers."""

    similarity: Float32s
    lists: Int64s  # (m, P), -1 for none

    def row(self, number: int) -> "Probes":
        """Those of one query."""
        return Probes(self.similarity[number : number + 1], self.lists[number : number + 1])


def ranked(index: Any, queries: Float32s, k: int, probes: Probes | None = None) -> tuple[Float32s, Int64s]:
    """The k rows of an index of FAISS with the largest inner product for each query: of equal ones the first rows.

    FAISS itself takes any of the equal ones for the last places. probes: of an index of inverted lists, else it finds
    them. Returns similarity float32 (m, k) and row int64 (m, k); NOT_FOUND and -1 stand where fewer were found.
    """
    similarity, rows = _search(index, queries, min(k + 1, max(index.ntotal, k)), probes)
    similarity[rows < 0] = NOT_FOUND
    similarity, rows = in_order(similarity, rows)
    if similarity.shape[1] > k:
        open_ = (similarity[:, k - 1] == similarity[:, k]) & (rows[:, k] >= 0)
        for query in np.flatnonzero(open_).tolist():
            one = None if probes is None else probes.row(query)
            least = np.nextafter(similarity[query, k - 1], np.float32(-np.inf))
            equal = _range(index, queries[query : query + 1], float(least), one)
            similarity[query, :k], rows[query, :k] = (values[:k] for values in in_order(*equal))
    return similarity[:, :k], rows[:, :k]


def in_order(similarity: Float32s, rows: Int64s) -> tuple[Float32s, Int64s]:
    """The same pairs along the last axis, the most similar first, of equal ones the smaller row."""
    order = np.lexsort((rows, -similarity), axis=-1)
    return np.take_along_axis(similarity, order, -1), np.take_along_axis(rows, order, -1)


def _search(index: Any, queries: Float32s, k: int, probes: Probes | None) -> tuple[Float32s, Int64s]:
    if probes is None:
        similarity, rows = index.search(queries, k)
    else:
        similarity, rows = index.search_preassigned(queries, k, probes.lists, probes.similarity)
    return similarity, rows


def _range(index: Any, query: Float32s, radius: float, probes: Probes | None) -> tuple[Float32s, Int64s]:
    if probes is None:
        _, similarity, rows = index.range_search(query, radius)
    else:
        _, similarity, rows = index.range_search_preassigned(query, radius, probes.lists, probes.similarity)
    return similarity, rows
