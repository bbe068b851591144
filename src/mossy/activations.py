"""Activations: how strongly a neuron fires on its drive, ``a = f(Σ_j w_ij x_j)`` (the article's 4.1).

Where ``f`` can be inverted it has a *potential* ``Φ(a) = ∫₀ᵃ f⁻¹(s) ds``. With it, a network with symmetric
weights and no self-connections has an energy that no asynchronous update raises (Hopfield 1984)::

    E = −½ xᵀWx − bᵀx + Σ_i Φ(x_i)

because ``f(h)`` is exactly the ``x_i`` that minimises ``−h·x_i + Φ(x_i)``. ``Φ`` is infinite outside
the range ``low … high`` of the neuron.

Source: J. J. Hopfield (1984), doi:10.1073/pnas.81.10.3088, equations 5 to 7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_integer, choose
from mossy.errors import InvalidParameter, InvalidShape

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Identity",
    "KWinners",
    "ReLU",
    "Sigmoid",
    "Sign",
    "Step",
    "Tanh",
    "as_activation",
]

Floats: TypeAlias = NDArray[Any]


class Activation(ABC):
    """Activity from drive. Subclasses are frozen dataclasses of parameters.

    Attributes
    ----------
    name
        The name in the registry.
    low, high
        The range of activities.
    has_potential
        Whether the energy is defined.
    elementwise
        Whether a neuron's activity depends on its own drive alone.
    discrete
        Whether a neuron is either ``low`` or ``high``, and never between (beyond what it was before).
    """

    name: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float]
    has_potential: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    discrete: ClassVar[bool] = False

    @final
    @property
    def parameters(self) -> dict[str, Any]:
        """What it was made from, so that ``ACTIVATIONS[name](**parameters)`` equals it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @abstractmethod
    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return the activities ``(..., d)`` of neurons with this drive ``(..., d)``.

        ``previous`` are the activities before; only ``sign`` and ``step`` use them, where the drive is zero.
        """

    @abstractmethod
    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ`` of each activity, infinite outside ``low … high``.

        Raises
        ------
        InvalidParameter
            If this activation has none.
        """


def _within(activity: Floats, low: float, high: float, inside: Floats) -> Floats:
    return np.where((activity >= low) & (activity <= high), inside, np.inf)


def _plogp(p: Floats) -> Floats:
    """Return ``p ln p`` with ``0 ln 0 = 0``; what is below 0 counts as 0."""
    p = np.maximum(p, 0.0)
    return p * np.log(np.where(p > 0, p, 1.0))


@final
@dataclass(frozen=True)
class Identity(Activation):
    """``f(h) = h``, ``Φ(a) = a²/2``."""

    name: ClassVar[str] = "identity"
    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        return np.array(drive)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        return 0.5 * np.square(activity)


@final
@dataclass(frozen=True)
class ReLU(Activation):
    """``f(h) = max(h, 0)``, ``Φ(a) = a²/2`` for ``a ≥ 0``."""

    name: ClassVar[str] = "relu"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = np.inf

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        return np.maximum(drive, 0)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        return _within(activity, self.low, self.high, 0.5 * np.square(activity))


@final
@dataclass(frozen=True)
class Sigmoid(Activation):
    """``f(h) = 1/(1 + e^−h)``, ``Φ(a) = a ln a + (1 − a) ln(1 − a)``. No drive overflows."""

    name: ClassVar[str] = "sigmoid"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        small = np.exp(-np.abs(drive))  # never above 1, on either side
        return np.where(np.asarray(drive) >= 0, 1.0, small) / (1.0 + small)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        return _within(activity, self.low, self.high, _plogp(activity) + _plogp(1.0 - np.asarray(activity)))


@final
@dataclass(frozen=True)
class Tanh(Activation):
    """``f(h) = tanh h``, ``Φ(a) = ½[(1 + a) ln(1 + a) + (1 − a) ln(1 − a)]``."""

    name: ClassVar[str] = "tanh"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 1.0

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        return np.tanh(drive)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        a = np.asarray(activity)
        return _within(a, self.low, self.high, 0.5 * (_plogp(1.0 + a) + _plogp(1.0 - a)))


@final
@dataclass(frozen=True)
class Sign(Activation):
    """``f(h) = ±1``, the sign of ``h``; ``Φ = 0``.

    At ``h = 0`` a neuron keeps its previous activity; where there is none (or it was 0) it is ``+1``.
    """

    name: ClassVar[str] = "sign"
    discrete: ClassVar[bool] = True
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 1.0

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        tie = np.ones_like(drive) if previous is None else np.where(np.equal(previous, 0), 1, previous)
        return np.where(np.equal(drive, 0), tie, np.sign(drive)).astype(np.result_type(drive), copy=False)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        return _within(activity, self.low, self.high, np.zeros_like(activity))


@final
@dataclass(frozen=True)
class Step(Activation):
    """``f(h) = 1`` where ``h > 0``, else 0; ``Φ = 0``.

    At ``h = 0`` a neuron keeps its previous activity; where there is none it is silent: without drive nothing
    fires.
    """

    name: ClassVar[str] = "step"
    discrete: ClassVar[bool] = True
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        tie = np.zeros_like(drive) if previous is None else previous
        fired = np.where(np.equal(drive, 0), tie, np.greater(drive, 0))
        return fired.astype(np.result_type(drive), copy=False)

    def potential(self, activity: Floats) -> Floats:
        """Return ``Φ(activity)``."""
        return _within(activity, self.low, self.high, np.zeros_like(activity))


@final
@dataclass(frozen=True)
class KWinners(Activation):
    """The ``k`` most driven neurons fire (1), the others are silent (0); of equals the lower index wins.

    A neuron's activity depends on all drives, so there is no potential.
    """

    k: int = 10

    name: ClassVar[str] = "k_winners"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    has_potential: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer(self.k, "KWinners.k", 1)

    def __call__(self, drive: Floats, previous: Floats | None = None) -> Floats:
        """Return ``f(drive)``."""
        drive = np.asarray(drive)
        d = drive.shape[-1] if drive.ndim else 0
        if self.k > d:
            raise InvalidShape(f"KWinners.k: {self.k} winners among {d} neurons; give a k of at most {d}.")
        least = np.partition(drive, d - self.k, axis=-1)[..., d - self.k, None]
        above = drive > least
        equal = drive == least
        room = self.k - above.sum(axis=-1, keepdims=True)
        won: Floats = above | (equal & (np.cumsum(equal, axis=-1) <= room))
        return won.astype(np.result_type(drive))

    def potential(self, activity: Floats) -> Floats:
        """Raise ``InvalidParameter``: there is none."""
        raise InvalidParameter(
            "KWinners: it has no potential, so no energy; use one of "
            + ", ".join(name for name, kind in ACTIVATIONS.items() if kind.has_potential)
            + "."
        )


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": ReLU,
    "sign": Sign,
    "step": Step,
    "k_winners": KWinners,
}


def as_activation(given: str | Activation) -> Activation:
    """Return the activation as given, or the one of this name with its defaults.

    Raises
    ------
    UnknownName
        If the registry holds no such name.
    """
    return given if isinstance(given, Activation) else choose(ACTIVATIONS, given, "activation")()
