"""``python -m audiojob_operator doctor``: looks at an installation and says what is wrong with it, and the way out.

``gather`` only reads; the checks are pure functions of the frozen facts. It may import every folder of the operator.
"""
