"""Estimators of pilots: arrays in, small records out."""
