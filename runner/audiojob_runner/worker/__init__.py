"""A worker of a pool: one pod that runs phase after phase, with libraries and models loaded once."""
