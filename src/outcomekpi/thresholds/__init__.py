"""Thresholds: is the bar in the right place, and what the rule does by chance."""
