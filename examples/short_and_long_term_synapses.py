"""The article's seven steps on real patterns: short-term memory in the synapses, encoded or lost.

python examples/short_and_long_term_synapses.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import mossy
from mossy.network import Network

MONTH = 30 * 24 * 3600.0


def main(n: int = 4) -> None:
    data = load_digits()
    digits = np.where(data.data[:n] > 7, 1.0, -1.0)  # a neuron a pixel: ink or none
    upper = np.arange(64) < 32

    for encoded in (True, False):
        clock = mossy.Steps()
        network = Network(64, "sign", "hebb", law="two_phase", clock=clock)
        network.store(digits[0])
        at_once = np.abs(network.step_5_short_term()).max()
        if encoded:
            network.step_6_encode()
        clock.advance(MONTH)
        late = np.abs(network.synapses.phases[1]).max()
        found = network.step_7_retrieve(digits[0], known=upper)
        lifted = np.abs(network.step_5_short_term()).max()
        print(f"{'encoded' if encoded else 'not encoded'}:")
        print(f"  short-term memory at once {at_once:.2f}; a month later its long-term part is {late:.2f}")
        print(f"  {(found == digits[0]).mean():.0%} of the digit is recalled from its upper half")
        print(f"  retrieval brings {lifted:.2f} back into short-term memory")

    for rule in ("difference", "hebb", "projection"):
        network = Network(64, "sign", rule, law=None)
        network.store(digits)
        found = network.recall(digits, known=upper)
        right = (found == digits)[:, ~upper].mean()
        print(f"{rule}: {right:.0%} of the covered pixels of {n} digits are right")


if __name__ == "__main__":
    main()
