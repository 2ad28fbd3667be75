"""Generators of CRDs, admission policies and reference pages. Nothing imports them at run time."""
