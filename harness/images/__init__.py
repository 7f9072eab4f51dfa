"""Images: which datasets there are, how each is read, and how its pixels become batches."""
