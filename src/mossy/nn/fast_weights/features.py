"""What keys and queries pass through before they meet the fast weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import elu, normalize

__all__ = ["FEATURES"]


def unit(x: Tensor) -> Tensor:
    """Return ``x / ‖x‖``: keys of length 1, with which the delta rules are stable."""
    return normalize(x, dim=-1, eps=1e-6)


def positive(x: Tensor) -> Tensor:
    """Return ``elu(x) + 1``: Katharopoulos et al. (2020), arXiv:2006.16236, eq. 7."""
    return elu(x) + 1


def identity(x: Tensor) -> Tensor:
    """Return ``x``."""
    return x


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {"unit": unit, "positive": positive, "identity": identity}
