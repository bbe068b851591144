"""A memory that learns at test time, one token after another; gradients from autograd, not from a formula."""

from __future__ import annotations

import torch

PHI = {
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
}


MEAN = {"gelu": 0.282095, "relu": 0.398942, "silu": 0.206621, "tanh": 0.0}
GAIN = {"gelu": 1.70093, "relu": 1.71286, "silu": 1.78719, "tanh": 1.59254}


def output(weights, x, phi):
    if len(weights) == 1:
        return x @ weights[0]
    return features(weights, x, phi) @ weights[1]


def features(weights, x, phi):
    return (PHI[phi](x @ weights[0]) - MEAN[phi]) * GAIN[phi] / weights[1].shape[0] ** 0.5


def shortened(x, most):
    length = float((x**2).sum() ** 0.5)
    return x if most is None or length <= most else x * (most / length)


def neural_memory(start, q, k, v, rate, momentum, forget, chunk, gradients="token", clip=None, phi="gelu"):
    """One sequence, one head: ``start`` is a list of matrices, ``q k v`` are (s, d), the gates (s,)."""
    memory = [w.clone() for w in start]
    surprise = [torch.zeros_like(w) for w in start]
    answers = []
    for t in range(len(q)):
        if t % chunk == 0:
            at_start = [w.clone() for w in memory]
            surprise = [momentum[t] * s for s in surprise]
            memory = [w - forget[t] * (w - w0) + s for w, w0, s in zip(memory, start, surprise, strict=True)]
            gained = torch.zeros_like(start[-1])  # what this chunk added to the last layer
        leaves = [w.detach().requires_grad_() for w in at_start]
        guess = output(leaves, k[t], phi)
        error = shortened(guess.detach() - v[t], clip)
        if gradients == "token":
            error = error + output([*at_start[:-1], gained], k[t], phi)
        step = rate[t]
        if clip is not None and len(start) == 2:
            step = step / max(1.0, float((features(at_start, k[t], phi) ** 2).sum()))
        gradient = list(torch.autograd.grad((guess * error).sum(), leaves))  # that of ½‖error‖²
        if len(start) == 2:
            gradient[0] = shortened(gradient[0], clip)
        surprise = [s - step * g for s, g in zip(surprise, gradient, strict=True)]
        memory = [w - step * g for w, g in zip(memory, gradient, strict=True)]
        gained = gained - step * gradient[-1]
        answers.append(output(memory, q[t], phi))
    return torch.stack(answers), memory, surprise
