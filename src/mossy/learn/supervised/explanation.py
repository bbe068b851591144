"""Why an estimator predicted what it did, in numbers that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """What speaks for one prediction.

    Attributes
    ----------
    prediction
        What ``predict`` returns.
    probability
        What ``predict_proba`` gives it; None for a regressor.
    substrate
        ``"index"``: the parts are remembered examples. ``"matrix"``: they are units of the expansion, or features of
        the encoder.
    ids
        ``(k,)``: the ids of the examples, the most active first, or the numbers of the units, the one that moves the
        drive most first.
    targets
        ``(k,)`` or ``(k, m)``: the class, or the numbers, of each example; None for a matrix.
    shares
        For an index ``(k,)``: how active each example is. They sum to 1, and those of a class to its vote; those of a
        regressor weigh the targets. For a matrix ``(k,)`` or ``(k, m)``: the activity of each unit times its synapse.
        With ``intercept`` they sum to ``drive``.
    drive, intercept
        What is read from a matrix for the prediction, before it is a probability; None for an index.
    """

    prediction: Any
    probability: float | None
    substrate: str
    ids: NDArray[np.int64]
    targets: NDArray[Any] | None
    shares: NDArray[np.float64]
    drive: Any = None
    intercept: Any = None

    def __str__(self) -> str:
        """Return lines that a person can read: the prediction and its five largest parts."""
        sure = "" if self.probability is None else f" with probability {self.probability:.3f}"
        lines = [f"{self.prediction}{sure}, by the {self.substrate}"]
        for i in range(min(5, len(self.ids))):
            if self.targets is None:
                lines.append(f"  unit {self.ids[i]}: {np.round(self.shares[i], 4)}")
            else:
                lines.append(f"  example {self.ids[i]} ({self.targets[i]}): share {self.shares[i]:.3f}")
        return "\n".join(lines)
