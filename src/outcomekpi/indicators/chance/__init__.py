"""Criteria for single patients, and how likely luck passes them."""
