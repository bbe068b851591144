"""A memory beside any model: what it recalls is mixed into predictions, and can be moved into the weights."""

from mossy.nn.attach.attach import Attached, attach
from mossy.nn.attach.distill import Distilled, Score, distill, score, widen
from mossy.nn.attach.mixture import Calibration, mixture, votes

__all__ = ["Attached", "Calibration", "Distilled", "Score", "attach", "distill", "mixture", "score", "votes", "widen"]
