"""Let a month pass on a fast clock: what is used every day lasts, the rest fades and is let go.

python examples/fading.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import mossy

DAY = 24 * 3600.0


def main(n: int = 500, days: int = 30) -> None:
    data = load_digits()
    images = data.data[:n].astype(np.float32)
    used = np.flatnonzero(data.target[:n] == 7)  # whoever asks, asks for sevens
    others = np.flatnonzero(data.target[:n] != 7)
    upper = np.arange(64) < 32

    clock = mossy.Steps()  # its unit is a second here
    # Short-term memory has room for all: what does not fit leaves at once, and with "frequent" it is let go, unused.
    memory = mossy.Memory(clock=clock, keep="frequent", short_term=n)
    memory.store(images, payload=data.target[:n].tolist())

    print("day   used: short, long      not used: short, long")
    for day in range(1, days + 1):
        clock.advance(DAY)
        if day in (1, 2, 7, 14, days):
            parts = (*memory.strength(used).mean(axis=0), *memory.strength(others).mean(axis=0))
            print(f"{day:3d}   " + "  ".join(f"{part:10.6f}" for part in parts))
        memory.recall(images[used], known=upper)

    done = memory.consolidate()
    print(f"\nconsolidated: {done.moved} memories became long-term, {done.let_go} were let go")
    kept = {memory[int(one)].payload for one in memory.ids}
    print(f"what is left shows: {', '.join(str(digit) for digit in sorted(kept))}")


if __name__ == "__main__":
    main()
