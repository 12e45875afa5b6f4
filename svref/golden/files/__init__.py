"""A pack as files on disk: canonical bytes, reading and writing, and every check of what is read."""
