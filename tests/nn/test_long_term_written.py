from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch

import mossy
from mossy.nn.long_term import LongTermMemory
from mossy.nn.long_term import layer as module
from mossy.nn.long_term.written import excited, nothing, stored


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(d=8, **settings):
    torch.manual_seed(0)
    return LongTermMemory(d, 16, **({"top_k": 2, "room": 8} | settings))


# --- strength ------------------------------------------------------------------------------------


def test_free_places_come_first_however_weak_a_memory_is():
    layer = small(room=16, fading=1.0)
    layer.store(random(1, 8, seed=1), random(1, 8))
    layer.clock += 200
    layer.store(random(15, 8), random(15, 8))
    assert len(layer) == 16
    assert float(layer.strength()[0]) == 0


def test_of_memories_too_weak_for_a_float_the_weakest_leaves():
    layer = small(room=3, fading=1.0)
    for key in torch.eye(8)[:3]:
        layer.store(key, key)
    layer.reinforce(0)
    layer.clock += 500
    assert not layer.strength().any()
    assert int(layer.store(torch.eye(8)[3], torch.eye(8)[3])) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_strength_is_counted_in_float32_whatever_the_layer_is(dtype):
    for layer in (small(dtype=dtype), small().to(dtype)):
        layer.store(torch.ones(8, dtype=dtype), torch.ones(8, dtype=dtype))
        for _ in range(600):
            layer.reinforce(0)
        assert float(layer.strength()[0]) == pytest.approx(601, rel=1e-4)
        other = copy.deepcopy(layer).float()
        assert torch.equal(other.strength(), layer.strength())


def test_all_of_a_batch_are_stored_at_once():
    layer = small(fading=4.0)
    layer.store(random(5, 8), random(5, 8))
    torch.testing.assert_close(layer.strength(), torch.tensor([1.0] * 5 + [0] * 3))


def test_a_place_that_is_named_twice_is_excited_twice():
    held, at = stored(nothing(3, 2, 2, None, None), torch.eye(2), torch.eye(2), torch.zeros(2), 1e9)
    held = excited(held, at[[0, 0, 1]], torch.tensor([1.0, 2, 3]).log(), 1e9)
    torch.testing.assert_close(held.log_amounts.exp(), torch.tensor([4.0, 4, 0]))
    assert held.uses.tolist() == [2, 1, 0]


def test_the_strong_of_a_memory_stay_when_the_weak_leave():
    layer, keys = small(fading=1e9), random(8, 8)
    layer.store(keys, keys, torch.tensor([1.0] * 7 + [0.5]))
    other = small()
    other.from_memory(layer.to_memory(clock=mossy.Steps()))
    torch.testing.assert_close(other.strength(), torch.tensor([1.0] * 7 + [0.5]))
    assert int(other.store(random(8, seed=1), random(8))) == 7


def test_what_has_all_but_faded_in_a_memory_comes_over_into_half_precision():
    layer, keys = small(fading=1.0), random(2, 8)
    layer.store(keys, keys, torch.tensor([1e-20, 1.0]))
    memory = layer.to_memory(clock=mossy.Steps())
    other = small(dtype=torch.float16)
    other.from_memory(memory)
    np.testing.assert_allclose(other.strength()[:2].numpy(), [1e-20, 1.0], rtol=1e-4)


# --- buffers that are set from outside -----------------------------------------------------------


def test_buffers_that_are_set_from_outside_count():
    layer, other, keys = small(), small(), random(3, 8)
    layer.store(keys, -keys)
    for mine, theirs in zip(other.buffers(), layer.buffers(), strict=True):
        mine.copy_(theirs)
    assert len(other) == 3
    assert torch.equal(other(keys), layer(keys))
    empty = small()
    assert torch.equal(torch.func.functional_call(empty, dict(layer.named_buffers()), (keys,)), layer(keys))
    assert len(empty) == 0


def test_layers_that_were_given_the_same_tensors_forget_apart():
    layer, other, keys = small(), small(), random(3, 8)
    layer.store(keys, -keys)
    other.load_state_dict(layer.state_dict(), assign=True)
    other.forget(0)
    assert (len(other), len(layer)) == (2, 3)
    assert torch.equal(layer.recall(keys).values[:, 0], -keys)


def test_a_layer_that_serves_in_inference_mode_learns_after():
    layer, keys = small(), random(3, 8)
    with torch.inference_mode():
        layer.store(keys.clone(), -keys)
        layer.recall(keys)
        layer.reinforce([1])
        layer.forget(2)
    assert not any(one.is_inference() for one in layer.buffers())
    x = random(3, 8, seed=1).requires_grad_()
    layer(x).sum().backward()
    layer.store(keys, keys)
    assert x.grad.abs().sum() > 0


# --- threads and failures ------------------------------------------------------------------------


def together(*works):
    errors = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_threads_read_and_write_at_once():
    layer, keys = small(room=64), random(64, 8)

    def work(part):
        for key in part:
            layer.store(key, key)
            layer(keys)

    together(*(lambda part=part: work(part) for part in keys.split(16)))
    assert len(layer) == 64
    assert torch.equal(layer.recall(keys).values[:, 0], keys)


def test_a_reader_sees_all_of_a_write_or_nothing():
    layer, keys, wrong = small(room=1), random(2, 8), []
    layer.store(keys[0], keys[0])
    done = threading.Event()

    def write():
        for i in range(300):
            layer.store(keys[i % 2], keys[i % 2])
        done.set()

    def read():
        while not done.is_set():
            found = layer.recall(keys[0])
            if found.familiar and not torch.equal(found.values[0], keys[0]):
                wrong.append(found)

    together(write, read, read)
    assert not wrong


def test_what_was_forgotten_meanwhile_is_not_excited():
    layer, keys = small(), torch.eye(8)
    layer.store(keys[:3], keys[:3])
    seen = layer._held()
    layer.forget([0, 1])
    layer.store(keys[5], keys[5])
    layer._used(torch.tensor([0, 1, 2]), seen)
    assert layer.uses.tolist()[:3] == [0, 0, 1]
    assert layer.strength()[:2].tolist() == [1, 0]


def test_a_store_that_fails_writes_nothing(monkeypatch):
    layer, keys = small(room=1), random(2, 8)
    layer.store(keys[0], keys[0])
    before = copy.deepcopy(layer.state_dict())

    def fails(*given):
        stored(*given)
        raise MemoryError

    monkeypatch.setattr(module, "stored", fails)
    with pytest.raises(MemoryError):
        layer.store(keys[1], keys[1])
    assert all(torch.equal(before[name], now) for name, now in layer.state_dict().items())
