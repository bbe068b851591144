"""Memory as PyTorch layers, and stores for what a network computes."""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ImportError as error:
    from mossy.errors import MissingExtra

    raise MissingExtra("torch", "nn") from error

__all__: list[str] = []
