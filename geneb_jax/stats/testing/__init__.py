"""Tests of differences: many at once (`multiple`), exact ones of few rows (`exact`), over tasks, equivalence, planning.

Pure functions on float64 arrays; nothing here knows of runs.
"""
