"""Recall: from cues to memories."""

from mossy.recall.completion import settle
from mossy.recall.evidence import Evidence, Settings, gather, prior
from mossy.recall.lone import Lone, lone
from mossy.recall.result import Explanation, Recall

__all__ = ["Evidence", "Explanation", "Lone", "Recall", "Settings", "gather", "lone", "prior", "settle"]
