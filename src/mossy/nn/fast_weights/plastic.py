r"""Recurrent networks whose synapses learn while they run: differentiable plasticity.

Each synapse has a weight ``w_ij`` and a plastic part, ``α_ij`` times a trace ``H_ij`` of what its two neurons did:

.. math::  h_t = \tanh\big(W_x x_t + b + (W + α \odot H_{t-1})\, h_{t-1}\big), \qquad
           H_t = \text{rule}(H_{t-1};\; \text{pre} = h_{t-1},\; \text{post} = h_t).

``W_x``, ``b``, ``W``, ``α`` and the rate ``η`` are learnt by gradient over many episodes; ``H`` is what is remembered
within one.

Source: Miconi, Stanley & Clune (2018), arXiv:1804.02464, eq. 1–3; the rate set from moment to moment by the network
itself: Miconi et al. (2019), arXiv:2002.10585, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import EmptyBatch, InvalidParameter
from mossy.nn.fast_weights.checks import check_state
from mossy.nn.tensors import check_fits, check_floating, check_mask, check_shape

__all__ = ["TRACES", "PlasticCell", "PlasticRNN", "PlasticState"]


def hebb(trace: Tensor, pre: Tensor, post: Tensor, rate: Tensor) -> Tensor:
    r"""Return ``(1 − η) H + η · post preᵀ``: Hebb's rule with a decay, eq. 2."""
    return trace + rate * (post[..., None] * pre[..., None, :] - trace)


def oja(trace: Tensor, pre: Tensor, post: Tensor, rate: Tensor) -> Tensor:
    r"""Return ``H + η · post (pre − post H)``: Oja's rule, eq. 3; a synapse of a silent neuron keeps its trace."""
    return trace + rate * post[..., None] * (pre[..., None, :] - post[..., None] * trace)


TRACES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {"hebb": hebb, "oja": oja}


class PlasticState(NamedTuple):
    """Activity ``h (b, n)`` and traces ``H (b, n, n)``, from neuron ``j`` to neuron ``i`` in ``H[:, i, j]``."""

    activity: Tensor
    trace: Tensor

    def detach(self) -> PlasticState:
        """Return it without its history, so that no gradient flows into the piece before."""
        return PlasticState(self.activity.detach(), self.trace.detach())


@final
class PlasticCell(nn.Module):
    r"""One step of a recurrent network with plastic synapses; to be used like ``nn.RNNCell``.

    .. math::  h' = \tanh\big(W_x x + b + (W + α \odot H)\, h\big), \qquad H' = \text{rule}(H, h, h', η)

    Parameters
    ----------
    d_input
        Entries of ``x``.
    d_hidden
        ``n``: neurons.
    rule
        A name in ``TRACES``: ``"hebb"`` or ``"oja"``.
    rate
        ``η`` at the start, above 0 and below 1; it is learnt, as ``rate_logit = ln η/(1 − η)``.
    modulated
        Whether the network sets the rate itself, at each step: ``η = σ(rate_logit + m·h')`` with ``m (n,)`` learnt.
    plastic
        False leaves the plastic part out: an ordinary recurrent cell, for comparison. It has no ``α`` and no ``η``.
    device, dtype
        Of the parameters.

    Raises
    ------
    InvalidParameter, UnknownName
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        *,
        rule: str = "hebb",
        rate: float = 0.1,
        modulated: bool = False,
        plastic: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.d_input = check_integer(d_input, "PlasticCell.d_input", 1)
        self.d_hidden = check_integer(d_hidden, "PlasticCell.d_hidden", 1)
        self.rule = rule
        self._follow = choose(TRACES, rule, "PlasticCell.rule")
        self._rate = check_number(rate, "PlasticCell.rate", 0, 1, open_low=True)
        if self._rate == 1:
            raise InvalidParameter("PlasticCell.rate: 1 was given; a number above 0 and below 1 is allowed.")
        self.plastic = check_flag(plastic, "PlasticCell.plastic")
        n = self.d_hidden
        at: dict[str, Any] = {"device": device, "dtype": dtype}
        self.input = nn.Linear(self.d_input, n, **at)
        self.weight = nn.Parameter(torch.empty(n, n, **at))
        self.alpha = nn.Parameter(torch.empty(n, n, **at)) if plastic else None
        self.rate_logit = nn.Parameter(torch.empty((), **at)) if plastic else None
        self.modulation = nn.Parameter(torch.empty(n, **at)) if check_flag(modulated, "PlasticCell.modulated") else None
        if modulated and not plastic:
            raise InvalidParameter("PlasticCell.modulated: True was given with plastic=False; there is no rate to set.")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.input.reset_parameters()
        nn.init.normal_(self.weight, std=0.5 * self.d_hidden**-0.5)
        if self.alpha is not None and self.rate_logit is not None:
            nn.init.normal_(self.alpha, std=0.1)
            # In Python's floats: a rate next to 0 or 1 would be 0 or 1 in float32, and its logit infinite.
            nn.init.constant_(self.rate_logit, math.log(self._rate) - math.log1p(-self._rate))
        if self.modulation is not None:
            nn.init.normal_(self.modulation, std=0.1)

    def begin(self, b: int) -> PlasticState:
        """Return the state of ``b`` sequences before their first token: silence, and no traces."""
        b, n = check_integer(b, "PlasticCell.begin: b", 1), self.d_hidden
        return PlasticState(self.weight.new_zeros(b, n), self.weight.new_zeros(b, n, n))

    def forward(self, x: Tensor, state: PlasticState | None = None) -> tuple[Tensor, PlasticState]:
        """Return ``h' (b, n)`` and the state after one step.

        Parameters
        ----------
        x
            ``(b, d_input)``.
        state
            What the step before returned; None for the beginning.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        check_fits(check_shape(check_floating(x, "x"), "x", ("b", self.d_input)), "x", self.weight, "the cell")
        h, after = self.step(self.input(x), self.own(state, x))
        return h.clone(), after  # so that what is done to h in place is not done to the state

    def step(self, drive: Tensor, state: PlasticState) -> tuple[Tensor, PlasticState]:
        """Return ``h'`` and the state, from what the input drives the neurons with, ``W_x x + b (b, n)``; unchecked."""
        h, trace = state
        recurrent = h @ self.weight.mT
        if self.alpha is None or self.rate_logit is None:
            h = torch.tanh(drive + recurrent)
            return h, PlasticState(h, trace)
        now = torch.tanh(drive + recurrent + ((self.alpha * trace) @ h[..., None])[..., 0])
        logit: Tensor = self.rate_logit
        if self.modulation is not None:
            logit = (logit + now @ self.modulation)[:, None, None]
        return now, PlasticState(now, self._follow(trace, h, now, torch.sigmoid(logit)))

    def own(self, state: object, x: Tensor) -> PlasticState:
        """Return a state of this cell, for the sequences of ``x``, in its dtype; the first one for None.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        if not len(x):
            raise EmptyBatch(f"x: shape {tuple(x.shape)} was given; at least one sequence is needed.")
        if state is None:
            return self.begin(len(x))
        n = self.d_hidden
        given = check_state(state, PlasticState, ((len(x), n), (len(x), n, n)), x, "cell")
        return PlasticState(*(part.to(self.weight.dtype) for part in given))

    def extra_repr(self) -> str:
        """Say what is not seen from the submodules."""
        return f"d_input={self.d_input}, d_hidden={self.d_hidden}, rule={self.rule!r}, plastic={self.plastic}"


@final
class PlasticRNN(nn.Module):
    """A ``PlasticCell`` over sequences; to be used like ``nn.RNN`` with ``batch_first=True``.

    Parameters are those of ``PlasticCell``.
    """

    def __init__(
        self,
        d_input: int,
        d_hidden: int,
        *,
        rule: str = "hebb",
        rate: float = 0.1,
        modulated: bool = False,
        plastic: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = PlasticCell(
            d_input,
            d_hidden,
            rule=rule,
            rate=rate,
            modulated=modulated,
            plastic=plastic,
            device=device,
            dtype=dtype,
        )

    def forward(
        self, x: Tensor, state: PlasticState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, PlasticState]:
        """Run over a sequence, or the next piece of one.

        Parameters
        ----------
        x
            ``(b, s, d_input)``, ``s`` at least 1.
        state
            What the call for the piece before returned; None for the beginning.
        mask
            ``(b, s)`` booleans, False where there is only padding: it changes nothing, and gives zeros.

        Returns
        -------
        h, state
            Activities ``(b, s, n)``, and the state after the last token.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        cell = self.cell
        check_shape(check_floating(x, "x"), "x", ("b", "s", cell.d_input))
        check_fits(x, "x", cell.weight, "the cell")
        if not x.shape[1]:
            raise EmptyBatch(f"x: shape {tuple(x.shape)} was given; at least one token is needed.")
        if mask is not None:
            check_mask(mask, "mask", tuple(x.shape[:2]))
            x = x.masked_fill(~mask[..., None], 0)  # whatever padding holds, no gradient comes from it
        state, heard = cell.own(state, x), []
        for t, drive in enumerate(cell.input(x).unbind(1)):
            h, after = cell.step(drive, state)
            if mask is None:
                state = after
            else:
                real = mask[:, t, None]
                h = torch.where(real, h, 0)
                state = PlasticState(
                    torch.where(real, after.activity, state.activity),
                    torch.where(real[..., None], after.trace, state.trace),
                )
            heard.append(h)
        return torch.stack(heard, 1), state
