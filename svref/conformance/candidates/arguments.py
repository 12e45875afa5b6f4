"""What the arguments of a candidate mean: their names say which one is s, which one holds the labels.

The names are those of public code. What they leave open is asked for by the option ``--map``, one argument each.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from svref.conformance.candidates.call import Function, Level
from svref.variants import Variant

Signature = Mapping[str, inspect.Parameter]

# What an argument may hold. C and D are the numbers of classes and of features, norms the lengths of the embeddings.
WORDS: Mapping[str, str] = {
    "inputs": "inputs input x xs feature features feats feat embedding embeddings embbedings emb embs embed embeds "
    "cosines cosine cos costheta costh logits logit scores score similarity similarities sim sims output outputs "
    "pred preds prediction predictions z vectors",
    "weights": "weights weight w kernel kernels proxies proxy centers centres prototypes classweights weightmatrix",
    "labels": "labels label lbl lbls target targets tgt y ys gt gts ytrue truth groundtruth classids targetids",
    "norms": "norms norm xnorm featurenorms",
    "C": "numclasses numclass nclasses nclass nbclasses ncls numcls classnum classnumber classescount numberofclasses "
    "outfeatures outfeature outfeats outdim outputdim outsize outputsize outchannels numids numidentities numid "
    "numidentity numspeakers nspeakers nspk nspks numlabels nlabels numtargets numoutputs numpersons classsize",
    "D": "infeatures infeature infeats indim inputdim insize inputsize inchannels embeddingsize embeddingssize "
    "embeddingdim embeddingsdim embsize embdim embedsize embeddim emdsize featdim featuredim featsize featuresize "
    "featuresdim numfeatures numfeature nfeatures nfeats dim d nout hiddensize hiddendim latentdim",
    "s": "s scale scalefactor scaling radius scales logitscale r",
    "t": "t mvweight svweight tvalue hardweight",
    "cotangent": "cotangent",
    "ignore_index": "ignoreindex",
}
# One margin of the three, by the kinds of variants that have it alone. Code that has all of them has other names.
MARGINS: Mapping[str, tuple[str, float]] = {
    "m1": ("m1 margin1 multiplicativemargin marginmul", 1.0),
    "m2": ("m2 margin2 marginarc marc arcmargin angularmargin additiveangularmargin", 0.0),
    "m3": ("m3 margin3 marginam mam ammargin cosmargin cosinemargin margincos additivemargin", 0.0),
}
ANY_MARGIN = "m margin marginm marginvalue mvalue"
KINDS = {"am": "m3", "arc": "m2", "a": "m1"}  # by the word before "softmax" in the name of a variant
ROLES = ("cosines", "embeddings", "weights", "labels", "one_hot", "norms", "C", "D", "s", "m", "m1", "m2", "m3", "t")
RETURN = "return"  # no argument can be called so; --map return=1 says which of several results is judged
MAP = "--map"


@dataclass(frozen=True)
class Constant:
    """A value that an argument gets in every call."""

    value: Any

    def __str__(self) -> str:
        return repr(self.value)


Role = str | Constant
# Arguments that have no default, and a value that fits here.
USUAL: Mapping[str, Any] = {"deviceid": None, "deviceids": None, "device": "cpu", "easymargin": False, "bias": False}


@dataclass(frozen=True)
class Roles:
    """What the arguments of one function mean.

    Parameters
    ----------
    signature : mapping of str to Parameter
        Its arguments.
    of : mapping of str to Role
        What they hold, by their names.
    unknown : tuple of str
        Those without a default whose names say nothing.
    swallowed : tuple of str
        Parameters of the variant that ``**`` takes by their own names.
    """

    signature: Signature = field(repr=False)
    of: Mapping[str, Role]
    unknown: tuple[str, ...] = ()
    swallowed: tuple[str, ...] = ()

    def call(self, function: Function, values: Mapping[str, Any]) -> Any:
        """Call the function with the values of the roles that its arguments have."""
        bound = inspect.Signature(list(self.signature.values())).bind_partial()
        for name in self.signature:
            role = self.of.get(name, "")
            if isinstance(role, Constant):
                bound.arguments[name] = role.value
            elif role in values:
                bound.arguments[name] = values[role]
        swallowed = {name: values[name] for name in self.swallowed if name in values}
        return function(*bound.args, **bound.kwargs, **swallowed)

    @property
    def held(self) -> set[str]:
        """The roles that its arguments have."""
        return {role for role in self.of.values() if isinstance(role, str)}

    def renamed(self, level: Level) -> Iterable[str]:
        """Yield what was taken for what, "margin = m", where the name alone does not say it."""
        inputs = "cosines" if level == "cosine" else "embeddings"
        for name, role in self.of.items():
            shown = inputs if role == "inputs" else str(role)
            if name != shown:
                yield f"{name} = {shown}"


def words_of(entry: Variant) -> dict[str, Role]:
    """Return the meaning of each usual name, for the parameters of a variant."""
    words: dict[str, Role] = {word: role for role, text in WORDS.items() for word in text.split()}
    words |= {"C": "C", "D": "D"}
    if "t" not in entry.parameters:
        words = {word: role for word, role in words.items() if role != "t"}
    own = KINDS.get(entry.name.split("-")[-2] if "-" in entry.name else "", "")
    if "m" in entry.parameters:
        words |= dict.fromkeys(ANY_MARGIN.split(), "m")
    for name, (text, neutral) in MARGINS.items():
        role: Role = name if name in entry.parameters else "m" if name == own else Constant(neutral)
        words |= dict.fromkeys(text.split(), role)
    return words | {"isam": Constant(own == "m3")}


def roles_of(
    signature: Signature, words: Mapping[str, Role], given: Mapping[str, Role], arrays: Sequence[str] = ()
) -> Roles:
    """Return what the arguments of a function mean: as given, by their names, the arrays also by what is left over.

    Parameters
    ----------
    signature : mapping of str to Parameter
        The arguments.
    words : mapping of str to Role
        What usual names mean: see `words_of`.
    given : mapping of str to Role
        What the user has said.
    arrays : sequence of str
        The arrays that the function must take. They fill arguments without a name of their own, in this order.
    """
    named = {name: p for name, p in signature.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    roles: dict[str, Role] = {}
    for name, parameter in sorted(named.items(), key=lambda item: item[0] not in ROLES):  # s comes before scale
        role = given.get(name) or _role(name, parameter, words, arrays)
        if role is not None and (isinstance(role, Constant) or role not in roles.values() or name in given):
            roles[name] = role
    still = [name for name, p in named.items() if p.default is p.empty and name not in roles]
    held = {"labels" if role == "one_hot" else role for role in roles.values()}
    missing = [role for role in arrays if role not in held]
    roles |= dict(zip(still, missing, strict=False))
    usual = {name: Constant(USUAL[plain(name)]) for name in still[len(missing) :] if plain(name) in USUAL}
    unknown = tuple(name for name in still[len(missing) :] if name not in usual)
    roles |= usual
    return Roles(named, {name: roles[name] for name in named if name in roles}, unknown)


def _role(name: str, parameter: inspect.Parameter, words: Mapping[str, Role], arrays: Sequence[str]) -> Role | None:
    """Return the role that a name stands for; None if it stands for none here.

    Arrays with a default are left out, but for labels. One called weight is often a weight of each class, not its
    vector.
    """
    role = words.get(name) or words.get(plain(name))
    is_array = role in ("inputs", "weights", "norms", "labels")
    if is_array and (not arrays or (parameter.default is not parameter.empty and role != "labels")):
        return None
    return role


def plain(name: str) -> str:
    """Return a name without its capitals and underscores."""
    return name.lower().replace("_", "")


# ---- what the user says -----------------------------------------------------------------------------------------


def given_of(mapping: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Role]:
    """Return what the user says that names mean: {"margin": "m"}, or texts such as "margin=m".

    On the right stands a role, one of `ROLES`, or else a value that the argument gets in every call.
    """
    pairs = mapping.items() if isinstance(mapping, Mapping) else map(_pair, mapping or ())
    return {name: _meant(role) for name, role in pairs}


def words_of_map(mapping: Mapping[str, Any] | Iterable[str] | None) -> list[str]:
    """Return what the user says that names mean as the texts that the command takes, "margin=m"."""
    return [f"{name}={role}" for name, role in mapping.items()] if isinstance(mapping, Mapping) else [*(mapping or ())]


def _pair(text: str) -> tuple[str, str]:
    """Return the two sides of "margin=m"."""
    name, equals, role = text.partition("=")
    if not (name and equals and role):
        raise ValueError(f"{MAP} takes name=role, such as margin=m, with one of {', '.join(ROLES)}; got {text!r}.")
    return name, role


def _meant(role: Any) -> Role:
    """Return a role as it is, and any other value as a constant; texts may be numbers, True, False or None."""
    if role in ("cosines", "embeddings"):
        return "inputs"
    if role in ROLES:
        return str(role)
    try:
        return Constant(ast.literal_eval(role) if isinstance(role, str) else role)
    except (SyntaxError, ValueError):
        return Constant(role)
