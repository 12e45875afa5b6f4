"""A pack as files on disk: canonical bytes, reading and writing, and every check of what is read.

canonical   bytes, ids and digests that depend on the content alone
pack        where a pack is; read whole, written whole
checks      what a pack must hold to be read, verified and published
"""
