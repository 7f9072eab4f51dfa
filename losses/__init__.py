"""What is compared: one loss per file, each with the paper's formula and the `SPEC` by which it enters."""
