"""How sure a number is: intervals, differences of pairs, curves.

Values in, values out; the same records give the same bytes everywhere.
"""
