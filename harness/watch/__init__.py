"""What a person sees while it runs: display, log, status, TensorBoard, Optuna's storage.

Hears events and writes them down; no result depends on anything here.
"""
