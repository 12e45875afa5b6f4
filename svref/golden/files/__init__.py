"""A pack as files on disk: canonical bytes, reading and writing, and every check of what is read.

canonical_json  JSON whose bytes depend on its content alone
canonical       bytes, ids and digests that depend on the content alone
reading         any file, within limits; and JSON, strictly
temporary       names that a file or a folder has until it is whole
writing         any file that svref writes
schema          JSON against the schemas that ship
pack            where a pack is, and how it is read whole
replacing       how a pack comes to its place, and what may be in the way
checks          what a pack must hold to be read, verified and published
"""
