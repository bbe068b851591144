"""A bounded cache of answers, found by embedding: label what is new, notice what is not known, forget a user.

The embeddings are random vectors around one direction a topic; put those of your encoder in their place.

python examples/cache.py
"""

from __future__ import annotations

from collections import Counter

import numpy as np

import mossy

TOPICS = ("travel", "cooking", "chess", "gardening", "astronomy")
DIMENSIONS = 384


def main(n: int = 2000, capacity: int = 1500, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    directions = random.normal(size=(len(TOPICS), DIMENSIONS))

    def embed(topics: np.ndarray) -> np.ndarray:
        return directions[topics] + 2.0 * random.normal(size=(len(topics), DIMENSIONS))

    topics = random.integers(len(TOPICS), size=n)
    # The user is in the payload: equal entries of two users then stay two memories, and each can be forgotten.
    payload = [{"user": f"user {i % 10}", "topic": TOPICS[topic]} for i, topic in enumerate(topics)]

    clock = mossy.Steps()  # leave it out for the time of the system
    memory = mossy.Memory(similarity="cosine", capacity=capacity, clock=clock)
    ids = np.empty(n, dtype=np.int64)
    for part in np.array_split(np.arange(n), 10):  # ten days; from day to day what was not asked for fades
        ids[part] = memory.store(embed(topics[part]), payload=[payload[i] for i in part])
        clock.advance(24 * 3600)
    left = [int(one) for one in ids if one in memory]  # beyond the capacity the weakest were forgotten
    print(f"stored {n:,}, kept {len(memory):,}; the oldest that is left is number {left[0]:,}")

    asked = random.integers(len(TOPICS), size=200)
    found = memory.recall(embed(asked), k=5, reinforce=False)
    votes = [Counter(one["topic"] for one in five).most_common(1)[0][0] for five in found.payload]
    right = np.mean([vote == TOPICS[topic] for vote, topic in zip(votes, asked, strict=True)])
    print(f"the topic of a new question, by its five nearest: {right:.1%} right")

    again = memory[left[-1]].pattern + 0.5 * random.normal(size=DIMENSIONS)
    for name, cue in (("asked before, in other words", again), ("never asked", random.normal(size=DIMENSIONS))):
        one = memory.recall(cue, k=5)  # reinforces what it recognises
        print(f"{name}: cosine {one.fit[0]:.2f}, {'a hit' if one.familiar else 'a miss'}, {one.payload[0]['topic']}")

    mine = [one for one in left if memory[one].payload["user"] == "user 3"]
    memory.forget(mine)
    users = {memory[int(one)].payload["user"] for one in memory.ids}
    print(f"forgot the {len(mine)} of user 3; left are {len(memory):,} of {len(users)} users")


if __name__ == "__main__":
    main()
