"""How loud a sound is, and what of it rises above full scale. May import the modules of `media` beside this folder."""
