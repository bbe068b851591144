"""What a recall returns, and why it returned it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.strength import LinearLaw

__all__ = ["Explanation", "Recall"]


@dataclass(frozen=True)
class Explanation:
    """Why one memory was recalled: the parts of its evidence, which sum to ``evidence``.

    Attributes
    ----------
    id
        The memory.
    similarity
        ``β·sim``: how well its key fits the cue.
    prior
        What its strength adds, from ``-βδ/2`` to ``βδ/2``: 0 for the memory that fits best.
    association
        What its links to other active memories add.
    evidence
        The sum of the three.
    probability
        ``separation(evidence)``: its share among all memories.
    fit
        The bare similarity.
    strength, short, long
        How strong the memory was when it was recalled: ``short + long = strength``.
    """

    id: int
    similarity: float
    prior: float
    association: float
    evidence: float
    probability: float
    fit: float
    strength: float
    short: float
    long: float

    def __str__(self) -> str:
        """Return one line that a person can read."""
        return (
            f"memory {self.id}: evidence {self.evidence:.4g} = similarity {self.similarity:.4g} (fit {self.fit:.4g})"
            f" + prior {self.prior:.4g} (strength {self.strength:.3g}: short {self.short:.3g}, long {self.long:.3g})"
            f" + association {self.association:.4g}; probability {self.probability:.4g}"
        )


@dataclass(slots=True, repr=False, eq=False)
class Recall:
    """What a recall returns. For one cue the first axis is gone; ``k`` is the number of memories asked for.

    Attributes
    ----------
    pattern
        ``(c, d_value)``: the output ``Σ a_i v_i`` after completion, float32.
    ids
        ``(c, k)``: the memories with the most evidence, best first.
    payload
        For each cue a list of the ``k`` payloads.
    probability
        ``(c, k)``: ``separation(evidence)``, over all memories.
    fit
        ``(c, k)``: their similarity to the cue.
    strength
        ``(c, k, 2)``: the short and the long part of their strengths when they were recalled.
    energy
        ``(c,)``: the energy of the state in which the recall ended, in units of evidence; the lower, the more familiar.
        After one step it is that of the cue, over its known entries and with all evidence; after more steps that of
        the whole completed state, by its similarity alone. Compare energies of recalls that took one step each.
    familiar
        ``(c,)``: whether the best memory fits well enough to be reinforced.
    steps
        ``(c,)``: how many steps of completion were taken.
    """

    pattern: NDArray[np.float32]
    ids: NDArray[np.int64]
    payload: list[Any]
    probability: NDArray[np.float64]
    energy: Any
    familiar: Any
    steps: Any
    _parts: NDArray[np.float64]
    _modes: NDArray[Any]
    _elapsed: Any
    _law: LinearLaw

    @staticmethod
    def together(blocks: list[Recall]) -> Recall:
        """Return one batch of several."""
        if len(blocks) == 1:
            return blocks[0]
        parts = {part.name: [getattr(block, part.name) for block in blocks] for part in fields(Recall)}
        law = parts.pop("_law")[0]
        payload = [line for block in parts.pop("payload") for line in block]
        return Recall(**{name: np.concatenate(part) for name, part in parts.items()}, payload=payload, _law=law)

    def first(self) -> Recall:
        """Return what was recalled for the first cue of a batch, without the axis of the batch."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return Recall(**{name: part if name == "_law" else part[0] for name, part in parts.items()})

    @property
    def fit(self) -> NDArray[np.float64]:
        """``(c, k)``: the bare similarity of each memory to the cue."""
        return np.asarray(self._parts[..., 4])

    @property
    def strength(self) -> NDArray[np.float64]:
        """``(c, k, 2)``: short and long part."""
        return np.stack(self._law.split(self._modes.astype(np.float64), self._elapsed), axis=-1)

    def explain(self) -> list[Any]:
        """Return an ``Explanation`` of each memory: a list of ``k`` for one cue, a list of such lists for a batch."""
        if self.ids.ndim == 1:
            return self._explain(self.ids, self.probability, self._parts, self.strength)
        return [
            self._explain(*line) for line in zip(self.ids, self.probability, self._parts, self.strength, strict=True)
        ]

    @staticmethod
    def _explain(
        ids: NDArray[np.int64],
        probability: NDArray[np.float64],
        parts: NDArray[np.float64],
        strength: NDArray[np.float64],
    ) -> list[Explanation]:
        return [
            Explanation(
                id=int(ids[i]),
                similarity=float(parts[i, 0]),
                prior=float(parts[i, 1]),
                association=float(parts[i, 2]),
                evidence=float(parts[i, 3]),
                probability=float(probability[i]),
                fit=float(parts[i, 4]),
                strength=float(strength[i].sum()),
                short=float(strength[i, 0]),
                long=float(strength[i, 1]),
            )
            for i in range(len(ids))
        ]

    def __len__(self) -> int:
        """Return the number of memories (one cue) or of cues (a batch)."""
        return len(self.ids)

    def __repr__(self) -> str:
        """Return the ids, payloads and probabilities of a few cues; the rest is an attribute away."""
        if self.ids.size > 12:
            return f"Recall(of {len(self)} {'memories' if self.ids.ndim == 1 else 'cues'})"
        probability = np.round(self.probability, 4).tolist()
        return f"Recall(ids={self.ids.tolist()}, payload={self.payload!r}, probability={probability})"
