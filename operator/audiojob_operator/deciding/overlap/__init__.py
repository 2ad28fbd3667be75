"""Phases whose pods begin, and load, while the phase before works: which may, until when, and what they are told. Pure.

Such an attempt counts nothing before it is told its inputs. A phase has it at most twice, so that nothing goes round.
"""
