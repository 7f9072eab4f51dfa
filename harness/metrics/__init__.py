"""From embeddings to the numbers of a table: ranking, retrieval metrics, clusters, and the scores of a repeat.

Exact and the same on every device; only `evaluate` reads files.
"""
