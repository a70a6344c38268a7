"""Regression to the mean: patients and units that were chosen for an extreme baseline."""
