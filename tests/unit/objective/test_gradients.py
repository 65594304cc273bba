import pytest
import torch

from mel.objective.gradients import add, compare, projected, scale, take


def parameters(*gradients):
    made = [torch.zeros(2) for _ in gradients]
    for parameter, gradient in zip(made, gradients, strict=True):
        parameter.grad = None if gradient is None else torch.tensor(gradient)
    return made


def test_taking_gradients_leaves_none_behind():
    of = parameters([1.0, 2.0], None)
    taken = take(of)
    assert taken[0].tolist() == [1.0, 2.0]
    assert taken[1] is None
    assert all(p.grad is None for p in of)


def test_a_copy_is_independent_of_the_buffer_it_came_from():
    of = parameters([1.0, 2.0])
    buffer = of[0].grad
    taken = take(of, copy=True)
    buffer.zero_()
    assert taken[0].tolist() == [1.0, 2.0]


def test_adding_scales_and_fills_what_was_empty():
    of = parameters([1.0, 1.0], None, [3.0, 3.0])
    add(of, [torch.tensor([2.0, 4.0]), torch.tensor([1.0, 0.0]), None], factor=0.5)
    assert [p.grad.tolist() for p in of] == [[2.0, 3.0], [0.5, 0.0], [3.0, 3.0]]


def test_a_factor_of_zero_adds_nothing():
    of = parameters(None)
    add(of, [torch.tensor([2.0, 4.0])], factor=0.0)
    assert of[0].grad is None


def test_norms_and_cosine_run_over_all_parameters():
    left = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]), None]
    right = [torch.tensor([1.0, 0.0]), None, torch.tensor([5.0])]
    found = compare(left, right)
    assert found.left_norm == pytest.approx(5.0)
    assert found.right_norm == pytest.approx(26**0.5)
    assert found.cosine == pytest.approx(3.0 / (5.0 * 26**0.5))


def test_the_cosine_with_nothing_is_zero():
    assert compare([torch.tensor([1.0])], [None]).cosine == 0.0


def test_scaling_multiplies_what_is_there():
    of = parameters([1.0, 2.0], None)
    scale(of, 3.0)
    assert (of[0].grad.tolist(), of[1].grad) == ([3.0, 6.0], None)


def test_conflicting_gradients_are_orthogonal_once_projected():
    # <(2, 0, 0), (-3, 4, 0)> = -6, |left|^2 = 4: right + 1.5 left = (0, 4, 0)
    left, right = [torch.tensor([2.0, 0.0]), torch.tensor([0.0])], [torch.tensor([-3.0, 4.0]), None]
    assert projected(compare(left, right)) == pytest.approx(1.5)


@pytest.mark.parametrize("right", [[1.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
def test_gradients_that_do_not_conflict_are_left_as_they_are(right):
    assert projected(compare([torch.tensor([2.0, 0.0])], [torch.tensor(right)])) == 0.0
    assert projected(compare([torch.tensor([0.0, 0.0])], [torch.tensor(right)])) == 0.0
