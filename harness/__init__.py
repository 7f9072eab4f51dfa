"""The doing: from a loss, a dataset and a protocol to records of what happened; each wing says what happens in it."""
