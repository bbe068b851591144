"""Encoders as loops, copied from their equations."""

from __future__ import annotations

import math

import numpy as np


def image(pixels, shape, stride, cells, learned, bias=0.0, polarity=False, power=1.0):
    """Return the pattern of one image ``(height, width, channels)`` for patches of ``shape``."""
    height, width = pixels.shape[:2]
    down, across = shape
    rows, columns = range(0, height - down + 1, stride), range(0, width - across + 1, stride)
    grid_r, grid_c = min(cells, len(rows)), min(cells, len(columns))
    signs = (1, -1) if polarity else (1,)
    units = len(learned["w"])
    total = np.zeros((grid_r, grid_c, len(signs), units))
    count = np.zeros((grid_r, grid_c))
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            x = pixels[r : r + down, c : c + across].reshape(-1).astype(float)
            x = (x - x.mean()) / math.sqrt(x.var() + float(learned["floor"]))
            white = learned["z"].astype(float) @ (x - learned["mean"])
            cell = i * grid_r // len(rows), j * grid_c // len(columns)
            count[cell] += 1
            for s, sign in enumerate(signs):
                for u in range(units):
                    total[(*cell, s, u)] += max(0.0, sign * float(learned["w"][u] @ white) - bias)
    return (total / count[:, :, None, None]).reshape(-1) ** power


def compete(patches, units, wins, round_of=256):
    """Return the units after each winner of each patch moved to it by one over its wins."""
    units, wins = [list(map(float, unit)) for unit in units], list(wins)
    for first in range(0, len(patches), round_of):
        these = [np.array(x, float) / (np.linalg.norm(x) or 1.0) for x in patches[first : first + round_of]]
        won = [max(range(len(units)), key=lambda u: float(np.dot(x, units[u]))) for x in these]
        for x, u in zip(these, won, strict=True):
            wins[u] += 1
            units[u] = [w + (e - w) / wins[u] for w, e in zip(units[u], x, strict=True)]
        units = [list(np.array(unit) / (np.linalg.norm(unit) or 1.0)) for unit in units]
    return np.array(units), wins


def sound(samples, rate, bands, steps, window, hop, low, high, deltas, span, silence):
    """Return the pattern of one recording, with every Fourier sum written out."""
    frame, step = round(window * rate), round(hop * rate)
    x = np.array(samples, float) / (np.abs(samples).max() or 1.0)
    lead = math.ceil(frame / step) * step
    x = np.concatenate([np.zeros(lead), x, np.zeros(lead + -len(x) % step)])
    frames = [x[t : t + frame] for t in range(0, len(x) - frame + 1, step)]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * t / frame) for t in range(frame)]
    to_mel, to_hz = lambda f: 1127 * math.log(1 + f / 700), lambda m: 700 * (math.exp(m / 1127) - 1)
    edges = [to_hz(to_mel(low) + (to_mel(high) - to_mel(low)) * i / (bands + 1)) for i in range(bands + 2)]
    power = np.zeros((len(frames), bands))
    for t, one in enumerate(frames):
        spectrum = [
            abs(
                sum(
                    h * s * np.exp(-2j * math.pi * f * i / frame)
                    for i, (h, s) in enumerate(zip(hann, one, strict=True))
                )
            )
            for f in range(frame // 2 + 1)
        ]
        for m in range(bands):
            left, middle, right = edges[m : m + 3]
            weights = []
            for f in range(len(spectrum)):
                at = f * rate / frame
                weights.append(max(0.0, min((at - left) / (middle - left), (right - at) / (right - middle))))
            power[t, m] = sum(w * s**2 for w, s in zip(weights, spectrum, strict=True)) / sum(weights)
    loud = [float(np.mean(one**2)) for one in frames]
    sounding = [t for t in range(len(frames)) if loud[t] > max(loud) * 10 ** (-silence / 10)]
    power = power[sounding[0] : sounding[-1] + 1]
    logs = np.log(np.maximum(power, power.max() * 10 ** (-span / 10)))
    pooled = np.zeros((steps, bands))
    for s in range(steps):
        start, end = s * len(logs) / steps, (s + 1) * len(logs) / steps
        for t in range(len(logs)):
            pooled[s] += max(0.0, min(end, t + 1) - max(start, t)) * logs[t]
        pooled[s] /= end - start
    pooled -= pooled.mean()
    if not deltas:
        return pooled.reshape(-1)
    change = [(pooled[min(s + 1, steps - 1)] - pooled[max(s - 1, 0)]) / 2 for s in range(steps)]
    return np.concatenate([pooled, change]).reshape(-1)
