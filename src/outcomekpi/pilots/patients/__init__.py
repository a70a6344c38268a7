"""Rungs 1 and 5: patients before and after, and each doctor's own change."""
