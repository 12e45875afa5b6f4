"""A pack as files: canonical bytes, reading and writing, and every check of what is read."""
