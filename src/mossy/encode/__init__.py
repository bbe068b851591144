"""Encoders: from raw input to a pattern."""

from __future__ import annotations

from mossy.encode.dentate import Dentate
from mossy.encode.image import ImageEncoder
from mossy.encode.sound import SoundEncoder

__all__ = ["Dentate", "ImageEncoder", "SoundEncoder"]
