"""Records gathered into boards: what may be ranked together, as values without a format.

Touches no file but the papers' printed numbers, which `papers` parses from text.
"""
