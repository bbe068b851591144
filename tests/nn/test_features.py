"""Stored activations are those of the trunk, are computed once, and are not used when the trunk has changed."""

import copy
import json
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset

import mossy.errors as errors
from mossy.nn.intermediate import features


class Model(nn.Module):
    """A trunk with a functional part, a head behind it, and a count of passes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
        self.middle = nn.Linear(4, 5)
        self.head = nn.Linear(5, 3)
        self.heads = 0

    def forward(self, x, shift=0.0):
        h = (self.conv(x) * self.scale + shift).flatten(2).mT
        h, _ = self.attend(h, h, h, need_weights=False)
        h = self.middle(h.mean(1))
        self.heads += 1
        return self.head(h)


def data(n=20):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, 4, 4, generator=generator), torch.randint(0, 3, (n,), generator=generator)


class Items(Dataset):
    def __init__(self, x, y, form=tuple):
        self.x, self.y, self.form = x, y, form

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if self.form is dict:
            return {"x": self.x[i], "shift": torch.tensor(0.0).expand(1, 1, 1), "labels": self.y[i]}
        return self.x[i], self.y[i]


def true_activations(model, x):
    with torch.no_grad():
        whole = []
        hook = model.middle.register_forward_hook(lambda _, __, out: whole.append(out))
        model(x)
        hook.remove()
    return whole[0]


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("form", ["tensors", "TensorDataset", "Dataset", "DataLoader", "dicts"])
def test_they_are_the_activations(form, on_disk, tmp_path):
    x, y = data()
    given = {
        "tensors": (x, y),
        "TensorDataset": TensorDataset(x, y),
        "Dataset": Items(x, y),
        "DataLoader": DataLoader(Items(x, y), 7),
        "dicts": Items(x, y, dict),
    }[form]
    model = Model().eval()
    found = features(model, "middle", given, batch_size=7, path=tmp_path / "a" / "f" if on_disk else None)
    assert model.heads == 0
    torch.testing.assert_close(found.activations, true_activations(model, x))
    assert torch.equal(found.targets[0], y)
    assert len(found) == 20
    assert found.nbytes == 20 * (5 * 4 + 8)
    h, label = found[3]
    assert torch.equal(h, found.activations[3])
    assert label == y[3]
    for index in (slice(2, 5), [2, 3, 4], torch.tensor([2, 3, 4])):
        assert torch.equal(found[index][0], found.activations[2:5])


@pytest.mark.parametrize("layer", ["conv", "conv.0", "middle", "", "head"])
def test_any_layer_by_name_or_part(layer):
    model, (x, y) = Model().eval(), data()
    one, two = features(model, layer, (x, y)), features(model, model.get_submodule(layer), x)
    assert torch.equal(one.activations, two.activations)
    assert two.targets == ()
    assert len(two[0]) == 1
    if not layer:
        torch.testing.assert_close(one.activations, model(x).detach())


def test_batches_and_loaders_give_all_items():
    x, y = data()
    found = features(Model().eval(), "middle", (x, y))
    for batches in (
        list(found.batches(6)),
        list(found.batches(6, shuffle=False)),
        [tuple(batch) for batch in DataLoader(found, 6, shuffle=True)],
    ):
        assert [len(h) for h, _ in batches] == [6, 6, 6, 2]
        h, label = (torch.cat(column) for column in zip(*batches, strict=True))
        order = [int((found.activations == row).all(1).nonzero()[0]) for row in h]
        assert sorted(order) == list(range(20))
        assert torch.equal(label, y[order])
    one, two = (found.batches(6, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_dtypes(dtype, on_disk, tmp_path):
    model, (x, y) = Model().eval(), data()
    found = features(model, "middle", (x, y), dtype=dtype, path=tmp_path / "f" if on_disk else None)
    assert str(found.activations.dtype) == f"torch.{dtype}"
    assert found[0][0].dtype == torch.float32
    torch.testing.assert_close(found[:][0], true_activations(model, x), rtol=1e-2, atol=1e-2)
    half = features(model.bfloat16(), "middle", (x.bfloat16(), y))
    assert half.activations.dtype == torch.bfloat16


def test_half_precision_overflow_is_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    model[0].weight.data.fill_(1e5)
    with pytest.raises(errors.NotFinite, match="bfloat16"):
        features(model, "0", torch.ones(3, 2), dtype="float16")
    features(model, "0", torch.ones(3, 2), dtype="bfloat16")
    found = features(model, "0", torch.full((3, 2), float("inf")), dtype="float16")
    assert found.activations.isinf().all()


# --- changes -----------------------------------------------------------------------------------
TRUNK = {
    "conv": lambda model: model.conv[0].weight.data.mul_(2),
    "one entry": lambda model: model.conv[0].weight.data.view(-1)[5].add_(1),
    "a buffer": lambda model: model.conv[1].running_var.add_(1),
    "its own parameter": lambda model: model.scale.data.add_(1),
    "used without a call": lambda model: model.attend.out_proj.weight.data.add_(1),
    "the layer": lambda model: model.middle.bias.data.add_(1),
    "a replaced part": lambda model: setattr(model, "middle", nn.Linear(4, 5)),
    "a removed part": lambda model: delattr(model, "middle"),
}


@pytest.mark.parametrize("change", TRUNK)
def test_a_changed_trunk_is_noticed(change):
    model = Model().eval()
    found = features(model, "middle", data())
    found.check()
    TRUNK[change](model)
    with pytest.raises(errors.InvalidInput, match="changed"):
        found.batches()
    with pytest.raises(errors.InvalidInput, match="changed"):
        found.check()


def test_an_optimiser_of_the_trunk_is_noticed_by_a_loader():
    model = Model().eval()
    found = features(model, "middle", data())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(data()[0]).sum().backward()
    optimizer.step()
    with pytest.raises(errors.InvalidInput, match="changed"):
        next(iter(DataLoader(found, 5)))


def test_what_is_behind_the_layer_may_change():
    model = Model().eval()
    found = features(model, "middle", data())
    optimizer = torch.optim.Adam(model.head.parameters(), 0.05)
    losses = []
    for _ in range(30):
        for h, y in found.batches(10):
            loss = nn.functional.cross_entropy(model.head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    del model
    found.check()
    assert len(found[:2]) == 2


# --- folders -----------------------------------------------------------------------------------
def test_a_folder_is_read_and_not_computed_again(tmp_path):
    model, given = Model().eval(), data()
    one = features(model, "middle", given, path=tmp_path / "f", dtype="float16")
    passes = []
    model.conv.register_forward_hook(lambda _, __, out: passes.append(len(out)))
    two = features(model, "middle", given, path=tmp_path / "f", dtype="float16")
    assert torch.equal(one.activations, two.activations)
    assert torch.equal(one.targets[0], two.targets[0])
    assert passes == [1, 1]  # of one item, to know the shapes
    model.head.weight.data.add_(1)
    features(model, "middle", given, path=tmp_path / "f", dtype="float16")


def test_a_folder_of_something_else_is_refused(tmp_path):
    model, (x, y) = Model().eval(), data()
    path = tmp_path / "f"
    features(model, "middle", (x, y), path=path)
    for what, way in {
        "layer": lambda: features(model, "conv", (x, y), path=path),
        "dtype": lambda: features(model, "middle", (x, y), dtype="float16", path=path),
        "data": lambda: features(model, "middle", (x + 1, y), path=path),
    }.items():
        with pytest.raises(errors.InvalidInput, match=f"other {what}"):
            way()
    model.conv[0].weight.data.mul_(2)
    with pytest.raises(errors.InvalidInput, match="other weights"):
        features(model, "middle", (x, y), path=path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(errors.NotAMemory):
        features(model, "middle", (x, y), path=tmp_path / "mine")


def test_a_damaged_folder_is_named(tmp_path):
    model, given = Model().eval(), data()
    features(model, "middle", given, path=tmp_path / "f")
    (tmp_path / "f" / "activations.bin").write_bytes(b"short")
    with pytest.raises(errors.Damaged, match=r"activations\.bin"):
        features(model, "middle", given, path=tmp_path / "f")
    about = json.loads((tmp_path / "f" / "about.json").read_text())
    (tmp_path / "f" / "about.json").write_text(json.dumps(about)[:20])
    with pytest.raises(errors.NotAMemory):
        features(model, "middle", given, path=tmp_path / "f")


def test_an_interrupted_pass_leaves_nothing(tmp_path):
    class Torn(Items):
        def __getitem__(self, i):
            if i == 15:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    with pytest.raises(KeyboardInterrupt):
        features(Model().eval(), "middle", Torn(*data()), path=tmp_path / "f", batch_size=5)
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_is_damage(tmp_path):
    model, given = Model().eval(), data()
    features(model, "middle", given, path=tmp_path / "f")
    for name in ("activations.bin", "target-1.bin"):
        whole = (tmp_path / "f" / name).read_bytes()
        (tmp_path / "f" / name).write_bytes(whole[:7] + bytes([whole[7] ^ 1]) + whole[8:])
        with pytest.raises(errors.Damaged, match=name):
            features(model, "middle", given, path=tmp_path / "f")
        (tmp_path / "f" / name).write_bytes(whole)
    features(model, "middle", given, path=tmp_path / "f")


@pytest.mark.parametrize("part", [nn.GELU(), nn.LeakyReLU(0.2), nn.Dropout(0.1)])
def test_a_folder_of_other_parts_without_weights_is_refused(part, tmp_path):
    x = data()[0]
    torch.manual_seed(0)
    linear = nn.Linear(4, 4)
    features(nn.Sequential(linear, nn.LeakyReLU(0.1)).eval(), "1", x, path=tmp_path / "f")
    with pytest.raises(errors.InvalidInput, match="other weights"):
        features(nn.Sequential(linear, part).eval(), "1", x, path=tmp_path / "f")


def test_parts_that_run_on_later_items_belong_to_the_trunk(tmp_path):
    class Either(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.one, self.two, self.last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Identity()

        def forward(self, x):
            return self.last((self.one if x[0, 0] > 0 else self.two)(x))

    model, x = Either().eval(), torch.tensor([[1.0, 1], [-1, 1]])
    kept = features(model, "last", x, batch_size=1)
    features(model, "last", x, batch_size=1, path=tmp_path / "f")
    features(Either().eval(), "last", x, batch_size=1, path=tmp_path / "f")
    model.two.weight.data[0, 0] += 1
    with pytest.raises(errors.InvalidInput, match="changed"):
        kept.check()
    with pytest.raises(errors.InvalidInput, match="other weights"):
        features(model, "last", x, batch_size=1, path=tmp_path / "f")


def test_a_folder_of_what_another_sampler_gives_is_refused(tmp_path):
    model, items = Model().eval(), Items(*data())
    generator = torch.Generator().manual_seed(0)

    def loaded(sampler):
        return features(model, "middle", DataLoader(items, 5, sampler=sampler), path=tmp_path / "f")

    one = loaded(SubsetRandomSampler(range(10), generator=generator))
    before = torch.get_rng_state(), generator.get_state()
    assert torch.equal(loaded(SubsetRandomSampler(range(10), generator=generator)).activations, one.activations)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(generator.get_state(), before[1])
    for other in (SubsetRandomSampler(range(10, 20)), list(range(10))[::-1], list(range(5)) * 2):
        with pytest.raises(errors.InvalidInput, match="other data"):
            loaded(other)


# --- what is handed out ------------------------------------------------------------------------
@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_handed_out_is_the_callers(on_disk, tmp_path):
    path = tmp_path / "f" if on_disk else None
    model, given = Model().eval(), data()
    found = features(model, "middle", given, path=path)
    true = found.activations.clone(), found.targets[0].clone()
    for index in (3, torch.tensor(3), slice(2, 5), [2, 3], torch.tensor([2, 3]), torch.arange(20) < 3, ...):
        for one in found[index]:
            one.add_(1)
    for shuffle in (False, True):
        for h, y in found.batches(6, shuffle=shuffle):
            h.add_(1)
            y.add_(1)
    assert torch.equal(found.activations, true[0])
    assert torch.equal(found.targets[0], true[1])
    found.activations.zero_()
    if on_disk:
        assert torch.equal(features(model, "middle", given, path=path).activations, true[0])


def test_stored_in_inference_mode_they_train_heads(tmp_path):
    model, given = Model().eval(), data()
    for path in (None, tmp_path / "f"):
        with torch.inference_mode():
            found = features(model, "middle", given, path=path)
        for h in (*(h for h, _ in found.batches(6, shuffle=False)), found[3][0], found.activations):
            model.head(h).sum().backward()


def test_other_threads_run_the_model_meanwhile():
    model, (x, y) = Model().eval(), data(200)
    true = model(x).detach()
    wrong, stop = [], threading.Event()

    def infer():
        while not stop.is_set():
            with torch.no_grad():
                if not torch.allclose(model(x), true, atol=1e-5):
                    wrong.append("inference")

    def store(layer, expected):
        for _ in range(5):
            if not torch.allclose(features(model, layer, (x, y), batch_size=10).activations, expected, atol=1e-5):
                wrong.append(layer)

    layers = {"conv": model.conv(x).detach(), "middle": true_activations(model, x)}
    threads = [threading.Thread(target=store, args=given) for given in layers.items()]
    beside = threading.Thread(target=infer)
    for thread in (*threads, beside):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    beside.join()
    assert not wrong


# --- bad input ---------------------------------------------------------------------------------
def test_what_is_wrong_is_named(tmp_path):
    model, (x, y) = Model().eval(), data()
    with pytest.raises(errors.InvalidInput, match="eval"):
        features(Model(), "middle", (x, y))
    with pytest.raises(errors.UnknownName, match="'middle'"):
        features(model, "last", (x, y))
    with pytest.raises(errors.InvalidParameter, match="layer"):
        features(model, nn.Linear(2, 2), (x, y))
    with pytest.raises(errors.InvalidParameter, match="model"):
        features(len, "middle", (x, y))
    with pytest.raises(errors.InvalidInput, match="tuple"):
        features(model, "attend", (x, y))
    with pytest.raises(errors.InvalidInput, match="did not run"):
        features(model, "attend.out_proj", (x, y))
    with pytest.raises(errors.FullMemory, match="float16"):
        features(model, "middle", (x, y), budget=100)
    with pytest.raises(errors.UnknownName):
        features(model, "middle", (x, y), dtype="int8")
    for wrong in ((x[:0], y[:0]), []):
        with pytest.raises(errors.InvalidInput, match=r"features\.data"):
            features(model, "middle", wrong)
    for wrong in ((x, y[:3]), 3, Items(x, ["a"] * 20)):
        with pytest.raises(errors.InvalidInput, match=r"features\.data"):
            features(model, "middle", wrong)
    with pytest.raises(errors.InvalidInput, match="one shape"):
        features(nn.Sequential(nn.Flatten(0, 0)).eval(), "0", Items([x[0], x[1, :, :2]], y[:2]), batch_size=1)
    with pytest.raises(errors.InvalidShape, match="items"):
        features(nn.Flatten(0, 1).eval(), "", torch.zeros(3, 2, 2))


def test_hooks_are_gone_afterwards():
    model, (x, y) = Model().eval(), data()
    features(model, "middle", (x, y))
    with pytest.raises(errors.InvalidInput):
        features(model, "attend", (x, y))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert model(x).shape == (20, 3)


def test_copies_and_processes():
    found = features(Model().eval(), "middle", data())
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert torch.equal(other.activations, found.activations)
        assert sum(len(h) for h, _ in other.batches(6)) == 20
    loaded = DataLoader(found, 5, num_workers=1)
    assert torch.equal(torch.cat([h for h, _ in loaded]), found.activations)


def test_threads_read_it():
    found = features(Model().eval(), "middle", data())
    sums = []

    def read():
        sums.append(sum(float(h.sum()) for h, _ in found.batches(3)))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == pytest.approx([float(found.activations.sum())] * 4, rel=1e-4)


def test_autocast_is_that_of_the_caller():
    with torch.autocast("cpu", torch.bfloat16):
        found = features(Model().eval(), "middle", data())
    assert found.activations.dtype == torch.bfloat16
