"""One fold, trained and embedded: the model, its batches, its optimizers, its checkpoint.

Reads the pixels that it is given and writes its checkpoint, nothing else; knows of no other fold, and never of the
search.
"""
