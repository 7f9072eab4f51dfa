"""What happened, line by line: records, the ledger that keeps them, per-class sums, and what must hold between them.

Only `ledger` and `per_class` touch files.
"""
