"""Tokens of OpenID Connect providers: their keys, their signatures, what their claims lead to.

Pure but for the clock; keys are fetched by `providers`.
"""
