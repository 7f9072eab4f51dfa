"""Boards as files for people: tables, captions, plots, the page.

Values in, bytes out; `report` and `sweep_report` write them.
"""
