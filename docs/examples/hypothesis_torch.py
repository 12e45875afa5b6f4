"""A property test of a loss in PyTorch: losses and gradients at the examples that svref draws."""

import torch
from hypothesis import given, settings
from textbook_torch import sv_am

from svref.strategies import examples


@settings(deadline=None)  # the first call of PyTorch takes long
@given(examples("sv-am-softmax", dtype="float32", cotangent=True))
def test_sv_am(example):
    """The gradients are those of Σ cotangent_b L_b."""
    cosines, labels = torch.tensor(example.cosines, requires_grad=True), torch.tensor(example.labels)
    losses = sv_am(cosines, labels, **example.parameters)
    losses.backward(torch.tensor(example.cotangent, dtype=losses.dtype))
    example.check(losses, cosines.grad)
