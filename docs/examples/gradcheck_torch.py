"""gradcheck of PyTorch: wrong at a case with a tie, and valid at the point that svref makes of it."""

import torch
from textbook_torch import sv_am

import svref.golden
import svref.testing

TIE = "sv-am-softmax-tie-da6288c9"


def at_the_case():
    """Raise a GradcheckError: on one side of the tie a negative is a support vector."""
    case = svref.golden.load()[TIE]
    cosines, labels = torch.tensor(case.inputs["cosines"], requires_grad=True), torch.tensor(case.labels)
    return torch.autograd.gradcheck(lambda c: sv_am(c, labels, **case.parameters), cosines)


def at_the_point():
    """Return True: within the step no negative becomes a support vector."""
    point = svref.testing.gradcheck_point("sv-am-softmax", TIE)
    cosines, labels = torch.tensor(point.arrays[0], requires_grad=True), torch.tensor(point.labels)
    s, m, t = point.loss.s, point.loss.margin.m, point.loss.emphasis.t
    return torch.autograd.gradcheck(lambda c: sv_am(c, labels, s=s, m=m, t=t), cosines, eps=point.step)
