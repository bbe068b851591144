"""Replay: a memory of training examples that reminds a network of what it learned."""

from mossy.nn.replay.consolidate import consolidate
from mossy.nn.replay.drive import drive, replay_loss
from mossy.nn.replay.examples import Replayed
from mossy.nn.replay.memory import Mixed, ReplayMemory
from mossy.nn.replay.sampler import ReplaySampler

__all__ = ["Mixed", "ReplayMemory", "ReplaySampler", "Replayed", "consolidate", "drive", "replay_loss"]
