"""Somebody's implementation: how it is found, called and kept from ending the run.

layouts      how the arrays of a question lie in memory
call         one question to a candidate, its answer, and the checks of an answer's shapes
loading      finds a candidate in a file or a module, and gives it an adapter and a guard
reading      how a candidate is read: a function or a class, with names of its own
arguments    what the arguments of a candidate mean, by the usual names
called       a candidate with names of its own as a function that the check can call
modules      PyTorch modules, classes and instances
owned        where a module has its weights, and how they get other sizes
returned     what a candidate with autograd returns: losses, logits, or several results
adapters     finds out which framework a function is written in, and chooses one of the next three
arrays       functions that return their gradients: NumPy, and the namespaces of the array API
frameworks   functions of PyTorch, JAX and TensorFlow, whose autograd gives the gradient
answers      answers that a program in any language wrote to files
written      numbers in such files: decimal, or hexadecimal and exact
planned      what a plan of rounding sets in a framework: autocast, the precision of products, dtype policies
halves       half precision inside a candidate, seen in PyTorch or read from its losses
settings     how the settings of the process are as before, whatever foreign code did to them
known_settings    the table of these settings: Python's, NumPy's, those of the frameworks
names        the names that svref computes with, set back where a candidate changes them
watch        who is told what the candidate is asked
process      what foreign code does to the process: prints, exits, settings, names
guard        calls a candidate, which may raise, hang, print or exit, and the run goes on
"""
