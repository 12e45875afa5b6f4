"""The pack `large`: gradients of 512 x 85,000 elements and more, checked from kilobytes.

recipe     inputs as integers, which any language can make again
case       a case, and the judgement of a candidate: projections, and the first rows element by element
certify    the certified numbers of a recipe
store      a case as JSON and tensors, the two files of the pack
pack       the whole pack: make it, load it, verify it
"""

from svref.golden.large.case import LargeCase, LargeResult
from svref.golden.large.pack import RECIPES, LargeVectors, load_large, make_large, verify_large
from svref.golden.large.recipe import LargeRecipe

__all__ = [
    "RECIPES",
    "LargeCase",
    "LargeRecipe",
    "LargeResult",
    "LargeVectors",
    "load_large",
    "make_large",
    "verify_large",
]
