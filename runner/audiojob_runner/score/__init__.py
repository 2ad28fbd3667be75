"""From notes as they were heard to a score as it is written: all decisions, and neither a file nor a notation program.

``heard.py`` has what goes in, ``model.py`` what comes out, ``arrange.py`` the way between them.
"""
