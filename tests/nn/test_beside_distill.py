from __future__ import annotations

import math

import pytest
import torch
from tests.nn.test_beside import classifier, examples, language, random
from torch import nn
from torch.nn import functional as F

from mossy.errors import InvalidDtype, InvalidInput, InvalidParameter, InvalidShape
from mossy.nn.beside import attach, distill, score, widen
from mossy.nn.beside.distill import divergence_of


def taught():
    x, y = examples(200)
    attached = attach(classifier(), "1", weight=0.9)
    attached.store(x[:100], y[:100])
    return attached, x[100:], y[100:]


def test_what_a_memory_adds_moves_into_the_weights():
    attached, x, y = taught()
    before = {name: value.clone() for name, value in attached.model.state_dict().items()}
    done = distill(attached, [x[:50]], test=[(x[50:], y[50:])], epochs=60, lr=0.02)
    assert done.divergence[-1] < 0.1 * done.divergence[0]
    assert done.memory.accuracy == 1 > done.before.accuracy
    assert done.kept > 0.8
    assert done.kept_accuracy == 1
    assert not done.model.training
    assert not done.model[1]._forward_hooks
    assert all(torch.equal(before[name], now) for name, now in attached.model.state_dict().items())


def test_the_loss_is_the_divergence():
    attached, x, _ = taught()
    done = distill(attached, [(x,)], epochs=1)
    p, q = attached(x).detach().double().exp(), F.softmax(attached.model(x).detach().double(), -1)
    assert done.divergence[0] == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), abs=1e-5)
    assert math.isnan(done.kept)


def test_the_divergence_is_that_of_torch():
    log_p, log_q = (F.log_softmax(random(4, 3, seed=seed), -1) for seed in range(2))
    expected = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    torch.testing.assert_close(divergence_of(log_p, log_q), expected)


def test_a_student_shares_nothing_with_its_teacher():
    attached, x, _ = taught()
    net, tied = attached.model, attached.copy_of_model()
    tied[0].weight = net[0].weight
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for student in (
        net,
        tied,
        nn.Sequential(net[0], nn.ReLU(), widen(net[2], 3)),
        nn.Sequential(nn.Linear(8, 3), net[1]),
    ):
        with pytest.raises(InvalidInput, match="shares parts"):
            distill(attached, [x], student=student)
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert not net.training


def test_what_is_frozen_in_a_student_stays_so():
    attached, x, _ = taught()
    student = nn.Sequential(nn.BatchNorm1d(8), attached.copy_of_model())
    student.train()
    student[0].eval()
    assert not distill(attached, [x], student=student, epochs=1).model.training
    assert not student[0].running_mean.any()
    distill(attached, [x], student=student, epochs=1)
    assert student[0].running_mean.any()


def test_a_student_that_fails_is_put_back_into_its_modes():
    attached, x, _ = taught()
    student = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 4)).eval()
    student[1].train()
    with pytest.raises(InvalidShape, match="widen"):
        distill(attached, [x], student=student)
    assert [part.training for part in student.modules()] == [False, False, True, False]


def test_a_student_of_its_own_with_more_classes():
    x, y = examples(100, classes=5)
    attached = attach(classifier(3), "1", classes=5, weight=0.9)
    attached.store(x[:50], y[:50])
    student = attached.copy_of_model()
    with pytest.raises(InvalidShape, match="widen"):
        distill(attached, [x], student=student)
    student[2] = widen(student[2], 5)
    done = distill(
        attached, [x[:50]], student=student, test=[(x[50:], y[50:])], epochs=80,
        optimizer=lambda parameters: torch.optim.Adam(parameters, 0.02),
    )  # fmt: skip
    assert done.model is student
    assert done.before.accuracy <= 0.6
    assert done.after.accuracy > 0.9


def test_sequences_with_positions_left_out():
    model, x = language(), torch.randint(0, 11, (3, 6), generator=torch.Generator().manual_seed(0))
    y = x.roll(-1, 1)
    y[:, -1] = -100
    attached = attach(model, "gru", weight=0.9)
    attached.store(x, y)
    done = distill(attached, [(x, y), (x, torch.full_like(y, -100))], test=[(x, y)], epochs=30, lr=0.02)
    assert done.before.n == 15
    assert done.after.loss < done.before.loss


def test_a_wider_head_says_the_same_of_what_it_knew():
    for head in (nn.Linear(4, 3), nn.Linear(4, 3, bias=False)):
        wide = widen(head, 5)
        assert (wide.out_features, wide(random(2, 4)).shape) == (5, (2, 5))
        torch.testing.assert_close(wide(random(2, 4))[:, :3], head(random(2, 4)))
    with pytest.raises(InvalidParameter, match="at least 3"):
        widen(nn.Linear(4, 3), 2)
    with pytest.raises(InvalidDtype, match="Linear"):
        widen(nn.ReLU(), 2)


def test_what_cannot_be_used_is_named():
    attached, x, y = taught()
    with pytest.raises(InvalidDtype, match="attach"):
        distill(attached.model, [x])
    with pytest.raises(InvalidInput, match="no example"):
        distill(attached, [])
    assert len(distill(attached, iter([x]), epochs=2).divergence) == 2
    with pytest.raises(InvalidInput, match="batches"):
        distill(attached, [{"x": x}])
    with pytest.raises(InvalidDtype, match="list"):
        distill(attached, [(x, y.tolist())])
    with pytest.raises(InvalidShape, match=r"\(100,\) is allowed"):
        distill(attached, [(x, y[:5])])
    with pytest.raises(InvalidDtype, match="int was given"):
        distill(attached, [x], student=5)
    student = attached.copy_of_model()
    with pytest.raises(InvalidParameter, match="9 was given"):
        distill(attached, [x], student=student, test=[(x, y + 7)])
    assert torch.equal(student[0].weight, attached.model[0].weight)
    with pytest.raises(InvalidParameter, match="epochs"):
        distill(attached, [x], epochs=0)
    with pytest.raises(InvalidInput, match="no example"):
        score(attached, [])
    attached.train()
    with pytest.raises(InvalidInput, match="eval"):
        distill(attached, [x])
    assert score(attached, [(x, y)]).n == 100
