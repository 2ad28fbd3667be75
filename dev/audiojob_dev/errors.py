"""The one error that the command line shows without a traceback."""


class DevError(Exception):
    """Something the user can put right; the text says what is wrong and what to do."""
