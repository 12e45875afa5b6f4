"""The pack `large`: gradients of 512 x 85,000 elements and more, checked from kilobytes.

recipe     inputs as integers that any language makes again
case       a case, and a candidate held against it: projections and the first rows element by element
certify    from a recipe to certified numbers
store      a case in its two files
pack       make, load and verify the whole
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
