"""Fast weights as a layer: a memory that is written and read at every token of a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self, final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, rms_norm

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import EmptyBatch, InvalidParameter
from mossy.nn.convolution import convolved
from mossy.nn.fast_weights.checks import check_state
from mossy.nn.fast_weights.chunked import chunked
from mossy.nn.fast_weights.fading import Modes, modes_of
from mossy.nn.fast_weights.features import FEATURES
from mossy.nn.fast_weights.rules import Rule, as_rule
from mossy.nn.tensors import check_fits, check_floating, check_mask, check_shape, wide
from mossy.strength import LinearLaw, as_law

__all__ = ["FastState", "FastWeights"]

FIRST, LAST = 256.0, 4096.0  # tokens after which a fresh gate has let the heads forget to 1/e


class FastState(NamedTuple):
    """What a ``FastWeights`` layer carries from one piece of a sequence to the next.

    ``weights`` are the fast weights ``(b, h, dv, dk)``, with a law ``(b, h, m, dv, dk)``; ``tail`` the last inputs of
    the convolution, ``(b, width − 1, channels)``.
    """

    weights: Tensor
    tail: Tensor

    def detach(self) -> FastState:
        """Return it without its history, so that no gradient flows into the piece before."""
        return FastState(self.weights.detach(), self.tail.detach())


@final
class FastWeights(nn.Module):
    r"""A sequence layer whose memory is a matrix of fast weights for each head.

    Of the input ``x (b, s, d_model)`` each head makes, with ``conv`` a causal convolution over the last tokens,

    .. math::  q, k = φ(\operatorname{conv}(W_{qk} x)), \quad v = \operatorname{conv}(W_v x), \quad
               β = σ(W_β x)\,β_{max}, \quad α = σ(W_α x + b_α);

    the rule writes ``S_t = α_t S_{t-1} + β_t (v_t − α_t S_{t-1} k_t) k_tᵀ`` and reads ``o_t = S_t q_t`` (``RULES`` says
    which parts a rule has), and ``y = W_o RMSNorm(o)``. Writing happens at every token, however short the sequence is.

    Parameters
    ----------
    d_model
        Entries of a token, in and out.
    heads
        ``h``: memories side by side, whose gates start at different time scales.
    rule
        A name in ``RULES``: ``"linear"``, ``"gated_linear"``, ``"delta"``, ``"gated_delta"``.
    law
        A strength law of ``mossy.strength``, by name or made, by which what was written fades; for ``"linear"`` only.
        It is fixed, not learnt.
    token
        How long one token takes in the law's unit of time.
    d_key, d_value
        Entries of a key and of a value of each head; ``d_model // heads`` unless given. A memory holds about ``d_key``
        pairs, so larger keys hold more.
    convolution
        Tokens that the causal convolution sees, at least 1; 1 is none.
    features
        ``φ``, a name in ``FEATURES``. The delta rules are stable with ``"unit"``.
    overshoot
        ``β_max = 2`` instead of 1: writing may go beyond the value, so that a memory can turn signs
        (Grazzi et al. 2024, arXiv:2411.12537). Only for rules that correct.
    chunk
        Tokens that are computed at once; see ``chunked``.
    device, dtype
        Of the parameters.

    Raises
    ------
    InvalidParameter, UnknownName

    References
    ----------
    Yang, Kautz & Hatamizadeh (2024), arXiv:2412.06464, section 3.4 (the block); see ``RULES`` for the rules.
    """

    rates: Tensor
    readout: Tensor

    def __init__(
        self,
        d_model: int,
        heads: int = 1,
        *,
        rule: str | Rule = "gated_delta",
        law: str | LinearLaw | None = None,
        token: float = 1.0,
        d_key: int | None = None,
        d_value: int | None = None,
        convolution: int = 4,
        features: str = "unit",
        overshoot: bool = False,
        chunk: int = 32,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.d_model = check_integer(d_model, "FastWeights.d_model", 1)
        self.heads = check_integer(heads, "FastWeights.heads", 1)
        if (d_key is None or d_value is None) and d_model % heads:
            raise InvalidParameter(
                f"FastWeights.heads: {heads} was given for d_model {d_model}; a divisor of it is allowed, "
                "or give d_key and d_value."
            )
        self.rule = as_rule(rule)
        self.law = None if law is None else as_law(law)
        self.token = check_number(token, "FastWeights.token", 0, open_low=True)
        self.d_key = check_integer(d_model // heads if d_key is None else d_key, "FastWeights.d_key", 1)
        self.d_value = check_integer(d_model // heads if d_value is None else d_value, "FastWeights.d_value", 1)
        self.width = check_integer(convolution, "FastWeights.convolution", 1)
        self.features = choose(FEATURES, features, "FastWeights.features")
        self.overshoot = check_flag(overshoot, "FastWeights.overshoot")
        self.chunk = check_integer(chunk, "FastWeights.chunk", 1)
        if law is not None and (self.rule.corrects or self.rule.fades):
            raise InvalidParameter(
                f"FastWeights.law: one was given with the rule {self.rule.name!r}; a law fades what the additive rule "
                "without a gate writes. Use rule='linear', or no law."
            )
        if overshoot and not self.rule.corrects:
            raise InvalidParameter(
                f"FastWeights.overshoot: True was given with the rule {self.rule.name!r}, which has no β. Use "
                "rule='delta' or 'gated_delta'."
            )
        at: dict[str, Any] = {"device": device, "dtype": dtype}
        channels = self.heads * (2 * self.d_key + self.d_value)
        self.project = nn.Linear(d_model, channels, bias=False, **at)
        self.kernel = nn.Parameter(torch.empty(self.width, channels, **at)) if self.width > 1 else None
        self.write_gate = nn.Linear(d_model, self.heads, **at) if self.rule.corrects else None
        self.keep_gate = nn.Linear(d_model, self.heads, **at) if self.rule.fades else None
        self.scale = nn.Parameter(torch.empty(self.d_value, **at))  # of the RMSNorm
        self.out = nn.Linear(self.heads * self.d_value, d_model, bias=False, **at)
        self.register_buffer("rates", None, persistent=False)
        self.register_buffer("readout", None, persistent=False)
        self._read_law()
        self.reset_parameters()

    def _read_law(self) -> None:
        if self.law is not None:
            modes = modes_of(self.law, self.token, wide(self.scale.dtype))
            self.rates, self.readout = (part.to(self.scale.device) for part in modes)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A layer that is moved to half precision keeps the rates of its law: a slow one would be rounded to 0.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._read_law()
        return self

    def reset_parameters(self) -> None:
        """Draw all parameters anew: gates that keep for 256 to 4,096 tokens, queries that ask as keys are written."""
        for linear in (self.project, self.out):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        with torch.no_grad():
            heads = self.project.weight.view(self.heads, -1, self.d_model)
            heads[:, : self.d_key] = heads[:, self.d_key : 2 * self.d_key]
        if self.kernel is not None:
            nn.init.uniform_(self.kernel, -(self.width**-0.5), self.width**-0.5)
        if self.write_gate is not None:
            nn.init.normal_(self.write_gate.weight, std=0.1 * self.d_model**-0.5)
            nn.init.zeros_(self.write_gate.bias)
        if self.keep_gate is not None:
            nn.init.normal_(self.keep_gate.weight, std=0.1 * self.d_model**-0.5)
            tokens = torch.logspace(math.log10(FIRST), math.log10(LAST), self.heads)
            with torch.no_grad():
                self.keep_gate.bias.copy_(torch.log(tokens))  # σ(ln n) = 1 − 1/(n + 1)
        nn.init.ones_(self.scale)

    def begin(self, b: int) -> FastState:
        """Return the state of ``b`` sequences before their first token, zeros; it is what ``state=None`` stands for."""
        weight = self.project.weight
        fast, tail = self._shapes(check_integer(b, "FastWeights.begin: b", 1))
        return FastState(torch.zeros(fast, device=weight.device, dtype=wide(weight.dtype)), weight.new_zeros(tail))

    def _shapes(self, b: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        modes = () if self.law is None else (len(self.rates),)
        channels = self.project.out_features
        return (b, self.heads, *modes, self.d_value, self.d_key), (b, self.width - 1, channels)

    def forward(
        self, x: Tensor, state: FastState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, FastState]:
        """Read and write a sequence, or the next piece of one.

        Parameters
        ----------
        x
            Tokens ``(b, s, d_model)``, ``s`` at least 1.
        state
            What the call for the piece before returned; None for the beginning.
        mask
            ``(b, s)`` booleans, False where there is only padding: it is as if it were not there, and reads zeros.

        Returns
        -------
        y, state
            ``(b, s, d_model)``, and the state after the last token.

        Raises
        ------
        InvalidDtype, InvalidShape, InvalidInput, EmptyBatch
        """
        check_fits(check_floating(x, "x"), "x", self.project.weight, "the layer")
        check_shape(x, "x", ("b", "s", self.d_model))
        if 0 in x.shape:
            raise EmptyBatch(f"x: shape {tuple(x.shape)} was given; at least one sequence of one token is needed.")
        b, s, _ = x.shape
        state = self.begin(b) if state is None else check_state(state, FastState, self._shapes(b), x, "layer")
        if mask is None:
            return self._run(x, state, None)
        check_mask(mask, "mask", (b, s))
        # Padding is zeros, whatever it holds, and goes behind the tokens, where it can neither write nor push tokens
        # out of the convolution.
        x = x.masked_fill(~mask[..., None], 0)
        order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
        y, state = self._run(x.take_along_dim(order[..., None], 1), state, mask.sum(1))
        y = y.take_along_dim(order.argsort(dim=1)[..., None], 1)
        return y.masked_fill(~mask[..., None], 0), state

    def _run(self, x: Tensor, state: FastState, count: Tensor | None) -> tuple[Tensor, FastState]:
        b, s, _ = x.shape
        mixed = self.project(x)
        tail = state.tail.to(mixed.dtype)
        if self.kernel is not None:
            mixed, tail = convolved(mixed, self.kernel, tail, count)
        mixed = mixed.to(wide(mixed.dtype)).view(b, s, self.heads, -1).transpose(1, 2)
        q, k, v = mixed[..., : self.d_key], mixed[..., self.d_key : 2 * self.d_key], mixed[..., 2 * self.d_key :]
        beta = self._beta(x, v.dtype)
        log_decay = None if self.keep_gate is None else logsigmoid(self.keep_gate(x).to(v.dtype)).mT
        if count is not None:
            real = (torch.arange(s, device=x.device) < count[:, None])[:, None]
            beta = real.expand(b, self.heads, s).to(v.dtype) if beta is None else beta * real
            if log_decay is not None:
                log_decay = log_decay.masked_fill(~real, 0)
            elif self.law is not None:
                log_decay = -beta
        read, weights = chunked(
            self.features(q),
            self.features(k),
            v,
            rule=self.rule,
            beta=beta,
            log_decay=log_decay,
            modes=None if self.law is None else Modes(self.rates, self.readout),
            state=state.weights,
            chunk=self.chunk,
        )
        read = rms_norm(read.transpose(1, 2), (self.d_value,), self.scale.to(read.dtype), eps=1e-5)
        return self.out(read.flatten(2).to(self.out.weight.dtype)), FastState(weights, tail)

    def _beta(self, x: Tensor, dtype: torch.dtype) -> Tensor | None:
        if self.write_gate is None:
            return None
        beta = torch.sigmoid(self.write_gate(x).to(dtype)).mT
        return 2 * beta if self.overshoot else beta

    def extra_repr(self) -> str:
        """Say what is not seen from the submodules."""
        law = None if self.law is None else self.law.name
        return f"rule={self.rule.name!r}, law={law!r}, heads={self.heads}, d_key={self.d_key}, d_value={self.d_value}"
