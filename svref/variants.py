"""The registry of variants: name -> factory, equation, parameters, defaults, limits.

A new variant is one entry here: a factory under `@_variant`. Its signature holds its parameters, their units and
defaults; its documentation, the tests, checks and tables are made from the entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_type_hints

from svref.emphasis import SupportVectors
from svref.loss import SVXSoftmax
from svref.margins import AdditiveAngle, AdditiveCosine, Combined, MultiplicativeAngle, NoMargin

Factory = TypeVar("Factory", bound=Callable[..., SVXSoftmax])

Scale = Annotated[float, "Scale of the logits, above 0."]
Cosine = Annotated[float, "Margin in cosine units, at least 0."]
Radians = Annotated[float, "Margin in radians, at least 0 and below π."]
Multiple = Annotated[float, "Multiple of the angle, above 0."]
Pieces = Annotated[int, "Multiple of the angle, an integer from 1 to 1000."]
Strength = Annotated[
    float, "The SV paper's t, at least 1, which is off; code after the MV-Softmax paper calls t - 1 its t."
]

_SV = "Wang et al., Support Vector Guided Softmax Loss, arXiv:1812.11317"
_MV = "Wang et al., Mis-classified Vector Guided Softmax Loss, AAAI 2020, arXiv:1912.00833"
_AM = "Wang et al., Additive Margin Softmax for Face Verification, arXiv:1801.05599"
_ARC = "Deng et al., ArcFace, CVPR 2019"
_SPHERE = "Liu et al., SphereFace, CVPR 2017"

_PLAIN = r"-\log \frac{e^{s F}}{e^{s F} + \sum_{k \ne y} e^{s c_k}}"
_ADAPTIVE = r"-\log \frac{e^{s F}}{e^{s F} + \sum_{k \ne y} e^{s (t-1)(c_k+1) [c_k > F]} e^{s c_k}}"
_FIXED = r"-\log \frac{e^{s F}}{e^{s F} + \sum_{k \ne y} e^{s (t-1) [c_k > F]} e^{s c_k}}"


def spelt(name: object) -> str:
    """Return the name of a variant as `VARIANTS` spells it, from any case of letters, with hyphens or underscores."""
    return str(name).strip().lower().replace("_", "-")


@dataclass(frozen=True)
class Limit:
    """An identity: the variant at `at` equals the variant `equals` at the parameters they share, and at `also`."""

    equals: str
    at: Mapping[str, float]
    also: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        at, also = (", ".join(f"{k} = {v:g}" for k, v in values.items()) for values in (self.at, self.also))
        return f"`{self.equals}`{f' with {also}' if also else ''} at {at}"


@dataclass(frozen=True)
class Variant:
    """One loss by its name."""

    name: str
    factory: Callable[..., SVXSoftmax]
    equation: str
    limits: tuple[Limit, ...]
    reference: str

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters and their defaults, in order."""
        return {name: p.default for name, p in inspect.signature(self.factory).parameters.items()}


_REGISTRY: dict[str, Variant] = {}
#: The variants by name, in hyphens: `VARIANTS["sv-am-softmax"].factory` is `svref.sv_am_softmax`.
VARIANTS: Mapping[str, Variant] = MappingProxyType(_REGISTRY)


def _variant(form: str, f: str, reference: str, *limits: Limit) -> Callable[[Factory], Factory]:
    """Enter a factory into the registry, with `f` written into the equation of its form."""

    def enter(factory: Factory) -> Factory:
        name = factory.__name__.replace("_", "-")
        _REGISTRY[name] = Variant(name, factory, form.replace("F", f), limits, reference)
        factory.__doc__ = _documentation(_REGISTRY[name])
        return factory

    return enter


def _documentation(variant: Variant) -> str:
    """Return the factory's docstring: what it says itself, then what the entry says."""
    hints: dict[str, Any] = get_type_hints(variant.factory, include_extras=True)
    parameters = "\n".join(
        f"{name} : {hints[name].__origin__.__name__}, default {default:g}\n    {hints[name].__metadata__[0]}"
        for name, default in variant.parameters.items()
    )
    equals = "; ".join(map(str, variant.limits)) or "nothing simpler"
    return (
        f"{inspect.getdoc(variant.factory)}\n\n.. math:: L = {variant.equation}\n\n"
        f"Parameters\n----------\n{parameters}\n\nReturns\n-------\nSVXSoftmax\n\n"
        f"Raises\n------\nValueError, TypeError\n    If a parameter lies outside its range.\n\n"
        f"Equals\n    {equals}.\nReferences\n    {variant.reference}.\n"
    )


@_variant(_PLAIN, "c_y", "Bridle, Neurocomputing, 1990")
def softmax(s: Scale = 1.0) -> SVXSoftmax:
    """Softmax cross entropy of scaled cosines, or of logits at the default s = 1 (equation 1 of the derivation)."""
    return SVXSoftmax(NoMargin(), s=s)


@_variant(_PLAIN, "(c_y - m)", _AM, Limit("softmax", {"m": 0.0}))
def am_softmax(s: Scale = 30.0, m: Cosine = 0.35) -> SVXSoftmax:
    """AM-Softmax (CosFace): an additive cosine margin. Equals softmax at m = 0."""
    return SVXSoftmax(AdditiveCosine(m), s=s)


@_variant(_PLAIN, r"\cos(\theta_y + m)", _ARC, Limit("softmax", {"m": 0.0}))
def arc_softmax(s: Scale = 64.0, m: Radians = 0.5) -> SVXSoftmax:
    """Arc-Softmax (ArcFace): an additive angular margin. Equals softmax at m = 0."""
    return SVXSoftmax(AdditiveAngle(m), s=s)


@_variant(_PLAIN, r"\psi_m(\theta_y)", _SPHERE, Limit("softmax", {"m": 1}))
def a_softmax(s: Scale = 64.0, m: Pieces = 4) -> SVXSoftmax:
    """A-Softmax (SphereFace): a multiplicative angular margin. Equals softmax at m = 1.

    The paper scales by the embedding's length; s takes its place here, as in the SV family.
    """
    return SVXSoftmax(MultiplicativeAngle(m), s=s)


@_variant(
    _PLAIN,
    r"(\cos(m_1 \theta_y + m_2) - m_3)",
    _ARC,
    Limit("softmax", {"m1": 1.0, "m2": 0.0, "m3": 0.0}),
    Limit("am-softmax", {"m1": 1.0, "m2": 0.0, "m3": 0.25}, also={"m": 0.25}),
    Limit("arc-softmax", {"m1": 1.0, "m2": 0.25, "m3": 0.0}, also={"m": 0.25}),
)
def combined_softmax(s: Scale = 64.0, m1: Multiple = 1.0, m2: Radians = 0.3, m3: Cosine = 0.2) -> SVXSoftmax:
    """Combined margin softmax: all three margins at once. Equals AM at (1, 0, m), Arc at (1, m, 0)."""
    return SVXSoftmax(Combined(m1, m2, m3), s=s)


@_variant(_ADAPTIVE, "c_y", _SV, Limit("softmax", {"t": 1.0}))
def sv_softmax(s: Scale = 30.0, t: Strength = 1.2) -> SVXSoftmax:
    """SV-Softmax: support vectors against the plain cosine. Equals softmax at t = 1."""
    return SVXSoftmax(NoMargin(), SupportVectors(t), s=s)


@_variant(_ADAPTIVE, "(c_y - m)", _SV, Limit("am-softmax", {"t": 1.0}), Limit("sv-softmax", {"m": 0.0}))
def sv_am_softmax(s: Scale = 30.0, m: Cosine = 0.35, t: Strength = 1.2) -> SVXSoftmax:
    """SV-AM-Softmax: an additive cosine margin. Equals AM-Softmax at t = 1, SV-Softmax at m = 0."""
    return SVXSoftmax(AdditiveCosine(m), SupportVectors(t), s=s)


@_variant(_ADAPTIVE, r"\cos(\theta_y + m)", _SV, Limit("arc-softmax", {"t": 1.0}), Limit("sv-softmax", {"m": 0.0}))
def sv_arc_softmax(s: Scale = 64.0, m: Radians = 0.5, t: Strength = 1.2) -> SVXSoftmax:
    """SV-Arc-Softmax: an additive angular margin. Equals Arc-Softmax at t = 1, SV-Softmax at m = 0."""
    return SVXSoftmax(AdditiveAngle(m), SupportVectors(t), s=s)


@_variant(_ADAPTIVE, r"\psi_m(\theta_y)", _SV, Limit("a-softmax", {"t": 1.0}), Limit("sv-softmax", {"m": 1}))
def sv_a_softmax(s: Scale = 64.0, m: Pieces = 4, t: Strength = 1.2) -> SVXSoftmax:
    """SV-A-Softmax: a multiplicative angular margin. Equals A-Softmax at t = 1, SV-Softmax at m = 1."""
    return SVXSoftmax(MultiplicativeAngle(m), SupportVectors(t), s=s)


@_variant(
    _ADAPTIVE,
    r"(\cos(m_1 \theta_y + m_2) - m_3)",
    _SV,
    Limit("combined-softmax", {"t": 1.0}),
    Limit("sv-am-softmax", {"m1": 1.0, "m2": 0.0, "m3": 0.25}, also={"m": 0.25}),
    Limit("sv-arc-softmax", {"m1": 1.0, "m2": 0.25, "m3": 0.0}, also={"m": 0.25}),
)
def sv_combined_softmax(
    s: Scale = 64.0, m1: Multiple = 1.0, m2: Radians = 0.3, m3: Cosine = 0.2, t: Strength = 1.2
) -> SVXSoftmax:
    """SV with all three margins at once. Equals the combined softmax at t = 1."""
    return SVXSoftmax(Combined(m1, m2, m3), SupportVectors(t), s=s)


@_variant(_FIXED, "(c_y - m)", _MV, Limit("am-softmax", {"t": 1.0}))
def mv_am_softmax(s: Scale = 32.0, m: Cosine = 0.35, t: Strength = 1.2) -> SVXSoftmax:
    """MV-AM-Softmax, the fixed form: each support vector's logit gains s (t - 1). Equals AM-Softmax at t = 1."""
    return SVXSoftmax(AdditiveCosine(m), SupportVectors(t, form="fixed"), s=s)


@_variant(_FIXED, r"\cos(\theta_y + m)", _MV, Limit("arc-softmax", {"t": 1.0}))
def mv_arc_softmax(s: Scale = 32.0, m: Radians = 0.5, t: Strength = 1.2) -> SVXSoftmax:
    """MV-Arc-Softmax, the fixed form: each support vector's logit gains s (t - 1). Equals Arc-Softmax at t = 1."""
    return SVXSoftmax(AdditiveAngle(m), SupportVectors(t, form="fixed"), s=s)
