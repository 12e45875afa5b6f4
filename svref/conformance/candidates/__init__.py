"""Somebody's implementation: how it is found, called and kept from ending the run."""
