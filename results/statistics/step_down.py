"""P-values of all pairs of a table, corrected together: Holm's step-down method, with what equalities imply.

J. P. Shaffer: Modified sequentially rejective multiple test procedures, Journal of the American Statistical Association
81 (1986). Where a = b and b = c are true so is a = c: losses that are equal form groups, and no pair within a group has
been told apart yet at the step at which the first true equality might be. So fewer equalities may be true at once than
there are pairs left, and each step corrects for those alone.
"""

from collections.abc import Mapping

Pairs = Mapping[tuple[str, str], float]


def all_pairs(p_values: Pairs) -> dict[tuple[str, str], float]:
    """Give the corrected p-value of every pair: the chance of any false difference in the table is at most that.

    Args:
        p_values: of all pairs of some names, each once.
    """
    left: dict[str, set[str]] = {}
    for a, b in p_values:
        left.setdefault(a, set()).add(b)
        left.setdefault(b, set()).add(a)
    adjusted = dict.fromkeys(p_values, 1.0)
    floor = 0.0
    for a, b in sorted(p_values, key=p_values.__getitem__):
        floor = max(floor, min(1.0, _equal_at_once(left) * p_values[a, b]))
        if floor >= 1:
            break
        adjusted[a, b] = floor
        left[a].remove(b)
        left[b].remove(a)
    return adjusted


def _equal_at_once(left: Mapping[str, set[str]]) -> int:
    """Give a number of pairs that no partition into groups of mutually connected names exceeds.

    A group of g names gives each of them g − 1 neighbours that have as many, so that g − 1 is at most its core number
    (the most neighbours that everyone keeps while those with fewer are taken away).
    """
    degrees = {name: len(others) for name, others in left.items()}
    level = total = 0
    while degrees:
        name = min(degrees, key=degrees.__getitem__)
        level = max(level, degrees.pop(name))
        total += level
        for other in left[name]:
            if other in degrees:
                degrees[other] -= 1
    return max(total // 2, 1)
