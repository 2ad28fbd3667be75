"""Guesses in which encoding a text was written that does not say it. Pure functions of bytes, and careful:
a wrong guess makes a name worse than none would."""
