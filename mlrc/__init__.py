"""The face: what a notebook imports. The rooms behind it are `mlrc.losses`, `protocols`, `results` and `harness`."""
