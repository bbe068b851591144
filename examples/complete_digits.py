"""Store handwritten digits, then recall each from its upper half while another digit covers the lower one.

python examples/complete_digits.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import mossy


def main(n: int = 1797) -> None:
    data = load_digits()
    images, labels = data.data[:n].astype(np.float32), data.target[:n]
    memory = mossy.Memory()
    memory.store(images, payload=labels.tolist())

    known = np.arange(64) < 32
    covers = np.roll(images, n // 2, axis=0)
    cues = np.where(known, images, covers)

    for name, mask in (("told what is known", known), ("not told", None)):
        found = memory.recall(cues, known=mask, reinforce=False)
        right = found.ids[:, 0] == np.arange(n)
        print(f"{name}: {right.mean():.1%} of {n:,} digits are recalled")

    row = 3
    one = memory.recall(cues[row], known=known, k=min(3, n), reinforce=False)
    print("\nstored            asked with        recalled")
    for lines in zip(*(drawn(image) for image in (images[row], cues[row], one.pattern)), strict=True):
        print("  ".join(lines))
    print("\nwhy:")
    for part in one.explain():
        print(
            f"  memory {part.id} (a {memory[part.id].payload}): evidence {part.evidence:.2f} = similarity "
            f"{part.similarity:.2f} + strength {part.prior:.4f}, probability {part.probability:.3f}"
        )


def drawn(image: np.ndarray) -> list[str]:
    """Return an 8 × 8 digit as eight lines of text."""
    return ["".join(" .:#"[min(int(x) // 5, 3)] * 2 for x in line) for line in image.reshape(8, 8)]


if __name__ == "__main__":
    main()
