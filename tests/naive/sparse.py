"""The Willshaw net as loops: ``W_ij = OR_μ x_i^μ y_j^μ`` (Willshaw et al. 1969), counted instead of OR-ed."""

from collections.abc import Iterable


def write(pairs: Iterable[tuple[set[int], set[int]]], n: int, n_out: int) -> list[list[int]]:
    """Return, for each synapse, the number of pairs that have both its neurons active."""
    needed = [[0] * n_out for _ in range(n)]
    for x, y in pairs:
        for i in range(n):
            for j in range(n_out):
                if i in x and j in y:
                    needed[i][j] += 1
    return needed


def read_all(needed: list[list[int]], cue: set[int], n_out: int) -> set[int]:
    """Return the outputs that every active input reaches."""
    found = set()
    for j in range(n_out):
        if all(needed[i][j] > 0 for i in cue):
            found.add(j)
    return found


def read_best(needed: list[list[int]], cue: set[int], n_out: int, k: int) -> set[int]:
    """Return the k outputs that most active inputs reach: of equals the lower index, none at zero."""
    found: set[int] = set()
    for _ in range(k):
        best, best_count = None, 0
        for j in range(n_out):
            count = sum(needed[i][j] > 0 for i in cue)
            if j not in found and count > best_count:
                best, best_count = j, count
        if best is not None:
            found.add(best)
    return found
