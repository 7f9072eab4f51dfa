"""What is published, how it is checked, and what drift is measured against.

Reads and writes the folder `published` and the references in it.
"""
