"""Losses of public libraries as candidates for `svref matrix`: each function calls a library as installed.

svref matrix docs/examples/matrix.toml

A function stands here where a library's class takes what svref cannot know: a margin in degrees, weights under a name
of their own, labels as rows of 0 and 1. Nothing of a library is changed. Classes that need no such function are named
in the TOML file itself.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call
from torch.nn.functional import linear, normalize, one_hot

Tensor = torch.Tensor


@functools.cache
def module_of(name: str, **stands_in: type) -> Any:
    """Return a module of an installed package, read from its file alone: the package's __init__ is not run.

    Some packages import sound or image libraries at the top, which their loss does not use. `stands_in` holds empty
    classes for names that the file itself imports from them, such as ``torchvision__ops__MLP``.
    """
    for path, value in stands_in.items():
        *parents, attribute = path.split("__")
        stand_in = types.ModuleType(".".join(parents))
        setattr(stand_in, attribute, value)
        sys.modules.setdefault(".".join(parents), stand_in)
    package, *rest = name.split(".")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package}")
    file = Path(found.submodule_search_locations[0], *rest).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(f"svref_example_{name.replace('.', '_')}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cosines_of(embeddings: Tensor, weights: Tensor) -> Tensor:
    """Return the cosines (B, C), for losses that begin there."""
    return linear(normalize(embeddings), normalize(weights))


# ---- pytorch-metric-learning ----------------------------------------------------------------------------------------


def _pml(name: str, embeddings: Tensor, weights: Tensor, labels: Tensor, **options: float) -> Tensor:
    """Return the losses (B,); the library reduces them by its mean otherwise."""
    from pytorch_metric_learning import losses, reducers

    classes, size = weights.shape
    module = getattr(losses, name)(classes, size, reducer=reducers.DoNothingReducer(), **options).to(weights.dtype)
    return functional_call(module, {"W": weights.T}, (embeddings, labels))["loss"]["losses"]


def pml_arcface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """ArcFaceLoss, whose margin is in degrees."""
    return _pml("ArcFaceLoss", embeddings, weights, labels, scale=s, margin=math.degrees(m))


def pml_cosface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """CosFaceLoss."""
    return _pml("CosFaceLoss", embeddings, weights, labels, scale=s, margin=m)


def pml_sphereface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: int) -> Tensor:
    """SphereFaceLoss."""
    return _pml("SphereFaceLoss", embeddings, weights, labels, scale=s, margin=m)


# ---- Open Metric Learning, WeSpeaker, Metric Learning Layers: a module with a parameter `weight` --------------------


def _with_weight(module: Any, embeddings: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """Return what a module returns whose parameter `weight` is the weights."""
    return functional_call(module, {"weight": weights}, (embeddings, labels))


def oml_arcface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """ArcFaceLoss, which needs torchvision for another class of its file."""
    file = module_of("oml.losses.arcface", torchvision__ops__MLP=torch.nn.Module)
    module = file.ArcFaceLoss(weights.shape[1], weights.shape[0], m=m, s=s, reduction="none")
    return _with_weight(module, embeddings, weights, labels)


def wespeaker_arc(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """ArcMarginProduct."""
    file = module_of("wespeaker.models.projections")
    return _with_weight(
        file.ArcMarginProduct(weights.shape[1], weights.shape[0], scale=s, margin=m), embeddings, weights, labels
    )


def wespeaker_add(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """AddMarginProduct."""
    file = module_of("wespeaker.models.projections")
    return _with_weight(
        file.AddMarginProduct(weights.shape[1], weights.shape[0], scale=s, margin=m), embeddings, weights, labels
    )


def layers_arcface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """ArcFace, which returns logits."""
    from metric_learning_layers import ArcFace

    module = ArcFace(weights.shape[1], weights.shape[0], scale=s, margin=m)
    return _with_weight(module, embeddings, weights, labels)


def layers_cosface(embeddings: Tensor, weights: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """CosFace, which returns logits."""
    from metric_learning_layers import CosFace

    module = CosFace(weights.shape[1], weights.shape[0], scale=s, margin=m)
    return _with_weight(module, embeddings, weights, labels)


# ---- 3D-Speaker, SpeechBrain: losses that begin at the cosines ------------------------------------------------------


def speakerlab_arc(cosines: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """ArcMarginLoss, which returns the mean."""
    from speakerlab.loss.margin_loss import ArcMarginLoss

    return ArcMarginLoss(scale=s, margin=m)(cosines, labels)


def speakerlab_add(cosines: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """AddMarginLoss, which returns the mean."""
    from speakerlab.loss.margin_loss import AddMarginLoss

    return AddMarginLoss(scale=s, margin=m)(cosines, labels)


def _speechbrain(name: str, cosines: Tensor, labels: Tensor, s: float, m: float) -> Tensor:
    """Return the logits of a class of speechbrain.nnet.losses, which takes labels as rows of 0 and 1."""
    targets = one_hot(labels, cosines.shape[1]).to(cosines.dtype)
    return getattr(_speechbrain_losses(), name)(margin=m, scale=s)(cosines, targets)


@functools.cache
def _speechbrain_losses() -> Any:
    """Return speechbrain.nnet.losses; the package needs torchaudio, of which these classes use nothing."""
    from importlib.machinery import ModuleSpec

    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):
        stand_in = types.ModuleType("torchaudio")
        stand_in.__spec__, stand_in.__version__ = ModuleSpec("torchaudio", None), "0"
        sys.modules["torchaudio"] = stand_in
    import speechbrain.nnet.losses

    return speechbrain.nnet.losses


def speechbrain_arc(cosines: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """AdditiveAngularMargin."""
    return _speechbrain("AdditiveAngularMargin", cosines, labels, s, m)


def speechbrain_add(cosines: Tensor, labels: Tensor, *, s: float, m: float) -> Tensor:
    """AngularMargin."""
    return _speechbrain("AngularMargin", cosines, labels, s, m)
