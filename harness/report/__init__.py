"""What only the harness can add to a report: the gallery of retrieved images, and which parameters mattered.

Reads records, saved models and images; writes the report's files through `results`.
"""
