"""What several losses are made of: proxies and their spread, class means, full precision, the mean-field constraint.

No loss enters a comparison from here; a part that only one loss needs stands in its file.
"""
