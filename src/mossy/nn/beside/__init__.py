"""A memory beside any model: what it recalls is mixed into predictions, and can be moved into the weights."""

from mossy.nn.beside.attach import Attached, attach
from mossy.nn.beside.distill import Distilled, Score, distill, score, widen
from mossy.nn.beside.mixture import MixtureCalibration, mixture, votes

__all__ = [
    "Attached",
    "Distilled",
    "MixtureCalibration",
    "Score",
    "attach",
    "distill",
    "mixture",
    "score",
    "votes",
    "widen",
]
