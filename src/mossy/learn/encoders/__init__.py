"""Encoders as transformers: from raw input to patterns that a memory can tell apart."""

from __future__ import annotations

from mossy.learn.encoders.dentate import Dentate
from mossy.learn.encoders.image import ImageEncoder
from mossy.learn.encoders.sound import SoundEncoder

__all__ = ["Dentate", "ImageEncoder", "SoundEncoder"]
