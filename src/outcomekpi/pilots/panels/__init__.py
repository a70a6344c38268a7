"""Rungs 3 and 4: panels of units with controls."""
