"""Published experiments and demonstrations, re-run on this code. Data and figures need the extra ``lab``."""

from mossy.lab.article import Article, article
from mossy.lab.demo import Demo, demo

__all__ = ["Article", "Demo", "article", "demo"]
