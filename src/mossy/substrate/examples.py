"""What a matrix memory keeps beside its synapses in order to forget: the pairs, or a sum for each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import Column
from mossy.errors import InvalidInput, UnknownMemory
from mossy.plasticity import SummedRule
from mossy.plasticity.base import State
from mossy.synapses import under

__all__ = ["ClassSums", "Examples", "Label"]

Floats: TypeAlias = NDArray[np.float64]
Label: TypeAlias = int | str


@final
class ClassSums:
    """The state of a summed rule, kept apart for each class: a class is forgotten by dropping its sum.

    Parameters
    ----------
    rule
        A rule whose state is a sum over pairs.
    n_post, n_pre
        Sizes of the two populations.
    """

    def __init__(self, rule: SummedRule, n_post: int, n_pre: int) -> None:
        self._rule, self._shape = rule, (n_post, n_pre)
        self.sums: dict[Label, State] = {}
        self.counts: dict[Label, int] = {}
        self.flows: dict[Label, float] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for state in self.sums.values() for array in state.values())

    def total(self) -> State:
        """Return the sum over all classes: what a class that is gone wrote cannot have left a trace in it."""
        total = self._rule.start(*self._shape)
        for state in self.sums.values():
            for name, part in state.items():
                total[name] += part
        return total

    def add(self, pre: Floats, post: Floats, labels: Sequence[Label]) -> None:
        """Add pairs, each to the sum of its class."""
        for label, rows in _groups(labels):
            state = self.sums.get(label)
            state = self._rule.start(*self._shape) if state is None else state
            self.sums[label] = self._rule.write(state, pre[rows], post[rows])
            self.counts[label] = self.counts.get(label, 0) + int(rows.sum())
            self.flows[label] = self.flows.get(label, 0.0) + float(np.square(pre[rows]).sum())

    def subtract(self, pre: Floats, post: Floats, labels: Sequence[Label]) -> None:
        """Subtract pairs from the sums of their classes, all of them or, with ``UnknownMemory``, none."""
        sums, counts, flows = dict(self.sums), dict(self.counts), dict(self.flows)
        for label, rows in _groups(labels):
            if counts.get(label, 0) < rows.sum():
                raise UnknownMemory(f"forget: fewer pairs of class {label!r} are written; nothing was forgotten.")
            counts[label] -= int(rows.sum())
            if counts[label] == 0:
                del counts[label], sums[label], flows[label]
                continue
            sums[label] = self._rule.unwrite(self.sums[label], pre[rows], post[rows])
            flows[label] += float(np.square(pre[rows]).sum())
            if not self._rule.possible(sums[label], flows[label]):
                raise UnknownMemory(
                    f"forget: keys of class {label!r} were given that cannot have been written here; "
                    "nothing was forgotten."
                )
        self.sums, self.counts, self.flows = sums, counts, flows

    def drop(self, labels: Iterable[Label]) -> int:
        """Forget whole classes and return how many pairs that were."""
        for label in labels:
            if label not in self.sums:
                raise UnknownMemory(f"forget: nothing of class {label!r} is written; nothing was forgotten.")
        for label in labels:
            del self.sums[label], self.flows[label]
        return sum(self.counts.pop(label) for label in labels)

    def state(self) -> dict[str, Any]:
        """Return copied arrays, flat."""
        state: dict[str, Any] = {
            "labels": np.array(list(self.sums)),
            "counts": np.array(list(self.counts.values()), dtype=np.int64),
            "flows": np.array(list(self.flows.values())),
        }
        for i, sums in enumerate(self.sums.values()):
            state |= {f"{i}.{name}": part.copy() for name, part in sums.items()}
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state()`` returned."""
        for i, (label, count) in enumerate(zip(state["labels"].tolist(), state["counts"].tolist(), strict=True)):
            prefix = f"{i}."
            self.counts[label], self.flows[label] = count, float(state["flows"][i])
            self.sums[label] = {name: part.copy() for name, part in under(state, prefix).items()}


@final
class Examples:
    """The pairs as they were written, to be forgotten by id, class or key."""

    def __init__(self, d_key: int, d_value: int) -> None:
        self.ids = Column((), np.int64)
        self.keys = Column((d_key,), np.float64)
        self.values = Column((d_value,), np.float64)
        self.labels: list[Label | None] = []

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.ids.nbytes + self.keys.nbytes + self.values.nbytes + 8 * len(self.labels)

    def add(self, ids: NDArray[np.int64], keys: Floats, values: Floats, labels: list[Label] | None) -> None:
        """Keep pairs; ``labels=None``: they belong to no class."""
        self.ids.append(ids)
        self.keys.append(keys)
        self.values.append(values)
        self.labels += [None] * len(ids) if labels is None else labels

    def of_ids(self, given: ArrayLike) -> NDArray[np.intp]:
        """Return the rows of these ids, or raise ``UnknownMemory``."""
        wanted = np.unique(np.atleast_1d(np.asarray(given)))
        if wanted.dtype.kind not in "iu" or not len(wanted):
            raise InvalidInput("ids: give at least one whole number, as write() returned it.")
        rows = np.searchsorted(self.ids.rows, wanted)  # ids only ever rise
        there = rows < len(self.ids.rows)
        there[there] = self.ids.rows[rows[there]] == wanted[there]
        if not there.all():
            raise UnknownMemory(f"forget: no pair has the id {wanted[~there][0]}; nothing was forgotten.")
        return rows

    def of_classes(self, given: list[Label]) -> NDArray[np.intp]:
        """Return the rows of these classes, or raise ``UnknownMemory``."""
        for label in given:
            if label not in self.labels:
                raise UnknownMemory(f"forget: nothing of class {label!r} is written; nothing was forgotten.")
        return np.flatnonzero([label in given for label in self.labels])

    def of_pairs(self, keys: Floats, values: Floats | None, labels: Sequence[Label] | None = None) -> NDArray[np.intp]:
        """Return for each key (with its value and label, if given) the oldest row that has it, no row twice.

        Raises
        ------
        UnknownMemory
            A pair is not written, or not as often as it is given.
        """
        found: list[int] = []
        free = np.ones(len(self.labels), np.bool_)
        for i, key in enumerate(keys):
            same = free & (self.keys.rows == key).all(axis=1)
            if values is not None:
                same &= (self.values.rows == values[i]).all(axis=1)
            if labels is not None:
                same &= [label == labels[i] for label in self.labels]
            if not same.any():
                raise UnknownMemory(
                    f"forget: item {i} is not written (any more, if it was given before); nothing was forgotten."
                )
            found.append(int(same.argmax()))
            free[found[-1]] = False
        return np.array(found, np.intp)

    def remove(self, rows: NDArray[np.intp]) -> None:
        """Keep these rows no longer; no byte of them is left."""
        kept = np.setdiff1d(np.arange(len(self.labels)), rows)
        for column in (self.ids, self.keys, self.values):
            column.put(column.rows[kept])
        self.labels = [self.labels[row] for row in kept]

    def state(self) -> dict[str, Any]:
        """Return copied arrays, flat."""
        labelled = np.array([label is not None for label in self.labels])
        return {
            "ids": self.ids.rows.copy(),
            "keys": self.keys.rows.copy(),
            "values": self.values.rows.copy(),
            "labelled": labelled,
            "labels": np.array([label for label in self.labels if label is not None]),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state()`` returned."""
        given = iter(state["labels"].tolist())
        labels = [next(given) if labelled else None for labelled in state["labelled"]]
        self.add(state["ids"], state["keys"], state["values"], None)
        self.labels = labels


def _groups(labels: Sequence[Label]) -> list[tuple[Label, NDArray[np.bool_]]]:
    """Return each label, in the order in which they come, with the rows that have it."""
    return [(label, np.array([given == label for given in labels])) for label in dict.fromkeys(labels)]
