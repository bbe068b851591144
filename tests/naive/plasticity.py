"""Plasticity rules as loops copied from their equations: w[i][j] from pre-neuron j to post-neuron i.

A function has the name of its rule. It takes the weights to start with, which it may change, the pairs, and the
parameters of the rule by name, and returns the weights after the pairs, one after another.
"""

from __future__ import annotations

import numpy as np


def difference(w, pre, post, rate):
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * (y[i] - x[j])
    return w


def hebb(w, pre, post, rate):
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * y[i] * x[j]
    return w


def covariance(w, pre, post, rate, pre_mean, post_mean):
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * (y[i] - post_mean) * (x[j] - pre_mean)
    return w


def oja(w, pre, post, rate):
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * y[i] * (x[j] - y[i] * w[i, j])
    return w


def bcm(w, pre, post, rate, window):
    threshold = [0.0] * len(w)
    for x, y in zip(pre, post, strict=True):
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * y[i] * (y[i] - threshold[i]) * x[j]
            threshold[i] += (y[i] ** 2 - threshold[i]) / window
    return w


def storkey(w, pre, post):
    for x in pre:
        n = len(x)
        old = w.copy()

        def field(i, j, old=old, x=x, n=n):
            return sum(old[i, k] * x[k] for k in range(n) if k not in (i, j))

        for i in range(n):
            for j in range(n):
                if i != j:
                    w[i, j] += (x[i] * x[j] - x[i] * field(j, i) - field(i, j) * x[j]) / n
    return w


def delta(w, pre, post, rate, epsilon):
    for x, y in zip(pre, post, strict=True):
        length = sum(v * v for v in x)
        out = [sum(w[i, j] * x[j] for j in range(len(x))) for i in range(len(y))]
        for i in range(len(y)):
            for j in range(len(x)):
                w[i, j] += rate * (y[i] - out[i]) * x[j] / (epsilon + length)
    return w


def projection(w, pre, post, ridge):
    """The minimiser by least squares on stacked rows: K's pairs, then √λ (W − W(0)) = 0."""
    rows = np.vstack([np.asarray(pre, float), np.sqrt(ridge) * np.eye(w.shape[1])])
    out = np.empty_like(w)
    for i in range(len(w)):
        targets = np.concatenate([[y[i] for y in post], np.sqrt(ridge) * w[i]])
        out[i] = np.linalg.lstsq(rows, targets, rcond=None)[0]
    return out
