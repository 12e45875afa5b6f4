"""What the site does beyond Sphinx. Each file is an extension that docs/conf.py names, but for `npm`.

contents     the lists of links of the index pages are the tables of contents
katex        formulas, typeset at build time, so that they need no JavaScript
equations    "equation 17" in a text is a link to the equation
sources      links to files of the repository lead to highlighted pages, at the line
api          the pages of the public names, from their docstrings; a name without documentation is an error
commands     the page of the command line, from the commands themselves
variants     the table of the variants, from the registry
reach        tables, code and formulas that scroll can be reached by keyboard
playground   the page to play with, put together
npm          a package of the npm registry, checked against its digest, kept in a cache
"""
