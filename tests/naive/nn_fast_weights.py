"""Fast weights and plastic cells as loops over numbers, copied from the equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def fast_weights(
    q: Any, k: Any, v: Any, corrects: bool, beta: Any = None, log_decay: Any = None, state: Any = None
) -> tuple[Any, Any]:
    """Read and write one sequence of one head: ``q, k (s, dk)``, ``v (s, dv)``, ``beta, log_decay (s,)``."""
    s, dk = k.shape
    dv = v.shape[1]
    S = [[0.0 if state is None else float(state[i][j]) for j in range(dk)] for i in range(dv)]
    read = np.zeros((s, dv))
    for t in range(s):
        alpha = 1.0 if log_decay is None else math.exp(log_decay[t])
        step = 1.0 if beta is None else float(beta[t])
        for i in range(dv):
            for j in range(dk):
                S[i][j] *= alpha
        for i in range(dv):
            known = sum(S[i][j] * k[t, j] for j in range(dk)) if corrects else 0.0
            error = step * (v[t, i] - known)
            for j in range(dk):
                S[i][j] += error * k[t, j]
        for i in range(dv):
            read[t, i] = sum(S[i][j] * q[t, j] for j in range(dk))
    return read, np.array(S)


def lawful(q: Any, k: Any, v: Any, law: Any, token: float) -> Any:
    """Read what a law has left of all that was written: ``o_t = Σ_j r(t − j) (q_t·k_j) v_j``."""
    s = len(k)
    read = np.zeros((s, v.shape[1]))
    for t in range(s):
        for j in range(t + 1):
            strength = sum(
                c * math.exp(-rate * token * (t - j)) for rate, c in zip(law.rates, law.readout, strict=True)
            )
            read[t] += strength * sum(q[t, i] * k[j, i] for i in range(k.shape[1])) * v[j]
    return read


def convolved(x: Any, kernel: Any) -> Any:
    """Return ``y_t = Σ_j κ_j x_{t − w + 1 + j}`` of ``x (s, c)``, zeros before the first."""
    s, channels = x.shape
    width = len(kernel)
    y = np.zeros((s, channels))
    for t in range(s):
        for c in range(channels):
            for j in range(width):
                at = t - width + 1 + j
                if at >= 0:
                    y[t, c] += kernel[j, c] * x[at, c]
    return y


def plastic(x: Any, w_in: Any, bias: Any, w: Any, alpha: Any, rate: float, rule: str) -> tuple[Any, Any, Any]:
    """Run a plastic network over ``x (s, d)``: outputs ``(s, n)``, the last activity and the traces."""
    n = len(w)
    h, trace, out = np.zeros(n), np.zeros((n, n)), []
    for token in x:
        new = np.zeros(n)
        for i in range(n):
            drive = bias[i] + sum(w_in[i, d] * token[d] for d in range(len(token)))
            drive += sum((w[i, j] + alpha[i, j] * trace[i, j]) * h[j] for j in range(n))
            new[i] = math.tanh(drive)
        for i in range(n):
            for j in range(n):
                if rule == "hebb":
                    trace[i, j] = (1 - rate) * trace[i, j] + rate * new[i] * h[j]
                else:
                    trace[i, j] += rate * new[i] * (h[j] - new[i] * trace[i, j])
        h = new
        out.append(h)
    return np.array(out), h, trace
