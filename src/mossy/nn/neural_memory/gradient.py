"""The gradient through a memory that learns, written out: half the passes over the weights that autograd makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mossy.nn.neural_memory.network import Gradients, Learned, Network, Options, Weights
from mossy.nn.neural_memory.stream import Gates, Moment, Passed, Tokens, pieces, run

__all__ = ["advance"]


def advance(
    network: Network, start: Weights, moment: Moment, tokens: Tokens, gates: Gates, chunk: int, options: Options
) -> tuple[Tensor, Moment]:
    """Do what ``run`` does, with a gradient. It can be differentiated once."""
    flat = *tokens, *gates, *start, *(part for parts in moment for part in parts)
    if not (torch.is_grad_enabled() and any(part.requires_grad for part in flat)):
        return run(network, start, moment, tokens, gates, chunk, options)
    counts = [3, 3, len(start), *map(len, moment)]
    found, *after = _Advance.apply(network, chunk, options, counts, *flat)  # type: ignore[no-untyped-call]
    return found, Moment(*_grouped(after, counts[3:]))


def _grouped(flat: Iterable[Any], counts: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    each = iter(flat)
    return (tuple(islice(each, count)) for count in counts)


@final
class _Advance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, network: Network, chunk: int, options: Options, counts: list[int], *flat: Tensor
    ) -> tuple[Tensor, ...]:
        tokens, gates, start, *moment = _grouped(flat, counts)
        passed: list[Passed] = []
        found, after = run(network, start, Moment(*moment), Tokens(*tokens), Gates(*gates), chunk, options, passed)
        ctx.choices = network, chunk, options, counts
        ctx.lengths = [[len(part) for part in each] for each in passed]
        ctx.save_for_backward(*flat, *(held for each in passed for part in each for held in part))
        ctx.set_materialize_grads(False)
        return found, *(part for parts in after for part in parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_found: Tensor | None, *d_after: Tensor | None) -> tuple[Any, ...]:
        network, chunk, options, counts = ctx.choices
        tokens, gates, start, *moment = _grouped(ctx.saved_tensors, counts)
        rest = islice(ctx.saved_tensors, sum(counts), None)
        passed = [Passed(*_grouped(rest, lengths)) for lengths in ctx.lengths]
        cut = pieces(Tokens(*tokens), Gates(*gates), chunk, Moment(*moment))
        d_found = torch.zeros_like(tokens[2]) if d_found is None else d_found
        answers = torch.split(d_found, [part.keys.shape[1] for part, _ in cut], 1)
        back = _Back(network, options, start, [list(each) for each in _grouped(d_after, counts[3:])])
        found = [
            back.step(part, gate, d, each)
            for (part, gate), d, each in zip(reversed(cut), reversed(answers), reversed(passed), strict=True)
        ]
        each_token = (torch.cat(parts[::-1], 1) for parts in zip(*found, strict=True))
        return None, None, None, None, *each_token, *back.start, *(part for parts in back.moment for part in parts)


@final
class _Back:
    """The gradients with respect to ``M₀`` and to the moment, on the way from the last chunk to the first."""

    def __init__(self, network: Network, options: Options, start: Weights, moment: list[Gradients]) -> None:
        self.network, self.options, self.weights = network, options, start
        self.start: Gradients = [None] * len(start)
        self.moment = [[None if d is None else d.clone() for d in parts] for parts in moment]

    def step(self, tokens: Tokens, gates: Gates, d_answers: Tensor, passed: Passed) -> tuple[Tensor, ...]:
        """Go back over one piece; return the gradients of its tokens and of its gates."""
        memory, carried, _, inputs, changes = self.moment
        layers = len(self.weights)
        before, learned = (Learned(each[:layers], each[layers:]) for each in (passed.before, passed.learned))
        d_queries, read = self.network.read_back(
            passed.carried, learned, tokens.queries, self.options, passed.by_reading, d_answers, carried
        )
        filled = before.inputs[0].shape[1]
        d_before, d_new = [], []
        for d_parts, later in zip(read, (inputs, changes), strict=True):
            summed = [d if more is None else d.add_(more) for d, more in zip(d_parts, later, strict=True)]
            d_before.append([d[:, :filled] for d in summed])
            d_new.append(tuple(d[:, filled:] for d in summed))
        d_keys, d_values, d_rate, *d_earlier = self.network.learn_back(
            passed.memory,
            before,
            tokens.keys,
            gates.rate,
            self.options,
            Learned(*(tuple(part[:, filled:] for part in parts) for parts in learned)),
            passed.by_learning,
            Learned(*d_new),
            memory,
        )
        d_momentum, d_forget = torch.zeros_like(gates.momentum), torch.zeros_like(gates.forget)
        if passed.held:
            d_momentum[:, :1], d_forget[:, :1] = self._begin(gates, passed)
        else:
            self.moment[3:] = [
                [d if more is None else d + more for d, more in zip(d_parts, earlier, strict=True)]
                for d_parts, earlier in zip(d_before, d_earlier, strict=True)
            ]
        return d_queries, d_keys, d_values, d_rate, d_momentum, d_forget

    def _begin(self, gates: Gates, passed: Passed) -> tuple[Tensor, Tensor]:
        """Go back over the end of the last chunk and the beginning of this; return ``d_momentum`` and ``d_forget``."""
        momentum, forget = gates.momentum[:, :1], gates.forget[:, :1]
        d_momentum, d_forget = torch.zeros_like(momentum), torch.zeros_like(forget)
        memory, carried, velocity, inputs, changes = self.moment
        held, layers = passed.held, len(self.weights)
        for i, w0 in enumerate(self.weights):
            d = _some(carried[i])
            d_forget += _dot(w0, d) - _dot(passed.memory[i], d)
            faded = d * forget
            before, d_memory = self.start[i], memory[i]
            self.start[i] = faded if before is None else before.add_(faded)
            d_memory = _some(memory[i]).add_(d).sub_(faded)
            d_step = d_memory
            if passed.velocity:
                d_velocity, more = d, velocity[i]
                if more is not None:
                    d_velocity.add_(more)
                d_momentum += _dot(passed.velocity[i], d_velocity)
                velocity[i] = d_velocity.mul_(momentum)
                d_step = d_memory + d_velocity
            memory[i], carried[i] = d_memory, None
            inputs[i] = changes[i] = None
            if held[0].shape[1]:
                memory[i], carried[i] = None, d_memory
                inputs[i] = torch.bmm(held[layers + i], d_step.mT)
                changes[i] = torch.bmm(held[i], d_step)
        return d_momentum, d_forget


def _some(gradient: Tensor | None) -> Tensor:
    if gradient is None:  # each chunk is learned and read, so its weights have one
        raise RuntimeError("a chunk without a gradient of its weights")
    return gradient


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of matrices ``(b, i, o)``: ``(b, 1, 1)``."""
    return torch.bmm(a.reshape(a.shape[0], 1, -1), b.reshape(b.shape[0], -1, 1))
