"""The same numbers as `svref.reference`, fast.

kernels   the formulas on a slice of the classes, in place
tiles     rows and classes cut into pieces that fit a cache
threads   the pieces spread over the processors
"""
