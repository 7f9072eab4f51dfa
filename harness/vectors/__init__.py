"""Vectors in files: anyone's embeddings with what is told of each row, read into one value and written from it.

`mlrc embed` writes what `mlrc evaluate` reads.
"""
