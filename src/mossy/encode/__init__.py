"""Encoders: from raw input to a pattern."""

from __future__ import annotations

from mossy.encode.dentate import Dentate

__all__ = ["Dentate"]
