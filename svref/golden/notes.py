"""Why a case exists: for each flag what it tests, what failing it means, and where to read on."""

from __future__ import annotations

from typing import NamedTuple

DERIVATION = "docs/explanation/derivation.md"
VECTORS = "docs/reference/vectors.md"


class Note(NamedTuple):
    """What a flag of a case means: what the case tests, what failing it means, and the page to read on.

    The texts stand in the files of the packs, so that changing one makes another version of a pack.
    """

    tests: str
    failing: str
    link: str = DERIVATION


NOTES: dict[str, Note] = {
    "Batch": Note(
        "A batch as trainings have it: many rows or classes, numbers of all digits, repeated labels.",
        "Code is wrong from some size on, for some labels, or casts its inputs.",
    ),
    "Basic": Note(
        "Ordinary rows at two scales and two sets of parameters.",
        "The formula is another one, or a parameter is ignored, converted or swapped.",
    ),
    "FewDigits": Note(
        "Small scales, large margins, few classes, and numbers so short that products and sums of them are exact.",
        "In half precision: the formula is another one, or numbers are rounded where the plan does not round.",
        "docs/explanation/half-precision.md",
    ),
    "NineDigits": Note(
        "Cosines of up to nine significant bits, which float16 holds, and bfloat16 does not.",
        "Inputs, scaled cosines or logits are rounded to bfloat16, where the plan has float16.",
        "docs/explanation/half-precision.md",
    ),
    "LearntRows": Note(
        "Learnt rows: q = 1 - p_y is below the unit roundoff of the half formats, and logits are small.",
        "p_y is rounded before 1 is subtracted, so that the target is not pulled at all.",
        "docs/explanation/half-precision.md",
    ),
    "Hard": Note(
        "Rows that are wrong, with many support vectors and large losses.",
        "The emphasis is missing, of another form, or decided against another boundary.",
    ),
    "Confident": Note(
        "Rows whose loss is far below the unit roundoff.",
        "The loss is computed by cancellation: log(sum) - target, 1 - p, or log(p + eps).",
    ),
    "ExactTie": Note(
        "A negative equals the boundary exactly, in every dtype, and dominates the row: it is no support vector.",
        "The mask is not strict, or decided against something that rounds.",
    ),
    "NearBoundary": Note(
        "A negative just above the boundary and one just below, as near as eight bits allow.",
        "The mask is decided against another boundary, or in too few digits.",
    ),
    "AlgebraicTie": Note(
        "A negative equals the boundary exactly, where f is a polynomial of the cosine that code through acos rounds.",
        "Loss and gradient take different branches.",
    ),
    "BesideBoundary": Note(
        "A dominant negative 2^-15, 2^-30 or 2^-45 beside the boundary.",
        "The mask is decided against a boundary that an epsilon shifts, or in too few digits.",
    ),
    "NextToBoundary": Note(
        "A dominant negative is next to the boundary, closer than float64 or float32 tell apart.",
        "Loss and gradient take different branches, or the mask is decided in fewer digits than the rest.",
    ),
    "TargetAtPole": Note(
        "The target's cosine is 1 or -1, where an additive angle has no slope.",
        "The loss must be finite. The gradient is judged by policy where the limit is infinite.",
    ),
    "TargetNearPole": Note(
        "The target's cosine is 1/256 away from a pole.",
        "The sine is taken from 1 - c*c, or the cosine is clamped too far inside.",
    ),
    "NegativeAtPole": Note(
        "A negative's cosine is 1 or -1, where nothing special happens.",
        "The angle of every class is computed, and its infinite slope poisons the row.",
    ),
    "ExtremeScale": Note(
        "A huge or a tiny scale, a strong emphasis, cosines near zero.",
        "The exponentials overflow without a shift, or small numbers are lost.",
    ),
    "OneClass": Note("There is no negative: loss 0, gradients 0.", "An empty maximum or sum is not thought of."),
    "TwoClasses": Note("There is one negative.", "A sum over classes is divided, or the wrong one is left out."),
    "OneLabel": Note("All rows have the same label.", "Labels are not read row by row."),
    "RepeatedLabels": Note(
        "Several rows have the same label, and others another.",
        "Gradients of one class are not added up, or the labels of other rows change a row's loss.",
    ),
    "DuplicatedRows": Note(
        "Two rows are the same, and two classes.",
        "The label's column is found by its value, or equal rows count once.",
    ),
    "ClassWithoutRow": Note(
        "A class is the label of no row: it is a negative of all.", "Only the classes of the batch have a gradient."
    ),
    "NeutralMargin": Note(
        "The margin is 0, or A-Softmax has one piece; t is next to 1; s is no integer.",
        "A value of 0 is taken for none and replaced by the default, or s is made an integer.",
    ),
    "MarginAtEnd": Note(
        "The margin is next to π, or far above any in use, and A-Softmax has 1,000 pieces; t and s are 1.",
        "A value of 1 is taken for none and replaced by the default, or a margin is capped.",
    ),
    "StrongEmphasis": Note("t is 9, and s is below 1.", "t is capped, or s is made an integer."),
    "BesidePiece": Note(
        "Targets next to the ends of the pieces of A-Softmax, nearer than 3.14 or 3.1416 is to π.",
        "The pieces end at multiples of a rounded π.",
    ),
    "ManyDigits": Note(
        "Inputs of 20 significant bits, which float16 does not hold, and of 45, which float32 does not hold.",
        "The inputs are cast to a narrower format, although the rest keeps its digits.",
    ),
    "FirstAndLastLabel": Note("Labels are the first and the last class.", "Labels count from one, or wrap."),
    "EqualCosines": Note(
        "All cosines of a row are equal, the boundary's tie included.",
        "A tie is broken, or the label's column is a support vector.",
    ),
    "ExactCosines": Note(
        "Unit vectors of halves, whose cosines are exact.",
        "The vectors are transposed, or normalised along a wrong axis.",
    ),
    "ScaledRows": Note(
        "Embeddings and weights of several lengths.", "One of them is not normalised, or its radial gradient is kept."
    ),
    "SeveralLengths": Note(
        "Vectors of many lengths, more rows or fewer than classes, and more dimensions or fewer.",
        "One of them is not normalised, an axis is wrong, or labels and classes are confused.",
    ),
    "ProductAboveOne": Note(
        "The lengths of parallel vectors round, so that the product of the two directions comes out above 1.",
        "acos, or sqrt(1 - c*c), is taken of it and is NaN.",
    ),
    "NoEmphasis": Note(
        "t is 1, so that support vectors count as all others.",
        "A value of 1 is taken for none and replaced by the default.",
    ),
    "TinyRows": Note(
        "Vectors of length 2^-12, or of about 2^-18, which have directions like any other.",
        "An eps is added to a length, or caps it.",
    ),
    "ParallelRows": Note(
        "An embedding equals its class: the angle is 0 and its direction undefined.",
        "The gradient is NaN where the least-norm subgradient is 0.",
    ),
    "MirroredRows": Note("An embedding is opposite to its class.", "The gradient is NaN at the angle π."),
    "NearParallelRows": Note(
        "Embeddings 2^-12 and 2^-7 away from their classes.",
        "The angle is taken from a cosine that no longer knows it.",
    ),
    "FarRows": Note(
        "Embeddings far from their classes, at angles where θ + m > π.",
        "The head has another tail, which a mirrored row alone cannot tell from others.",
    ),
    "LabelTooLarge": Note("A label is C.", "An index out of range is read or wraps.", VECTORS),
    "LabelNegative": Note("A label is -1 without ignore_index.", "A negative index wraps to the last class.", VECTORS),
    "NotFinite": Note("A cosine is NaN, another infinite.", "Garbage comes out where an error was due.", VECTORS),
    "ScaleNotPositive": Note("s is 0.", "A parameter out of range is accepted.", VECTORS),
    "TooFewLabels": Note("There are fewer labels than rows.", "Labels are broadcast.", VECTORS),
    "StrengthBelowOne": Note(
        "t is 0.25: the MV papers' convention, 1.25 here.", "The emphasis becomes its opposite without a word.", VECTORS
    ),
    "MarginNegative": Note("m is -1.", "A parameter out of range is accepted.", VECTORS),
    "BeyondPole": Note(
        "The target's cosine is 1.5, an angle of nowhere.", "NaN comes out, or it is clipped silently.", VECTORS
    ),
    "Notebook": Note("The rows of the notebook that started the project.", "The formula is another one."),
    "PaperParameters": Note(
        "The papers' parameters, which are rounded in every dtype.",
        "A parameter is converted through a narrower dtype.",
    ),
    "Wide": Note("Embeddings of up to 64 numbers, many classes.", "An accumulation loses digits, or an axis is wrong."),
}
