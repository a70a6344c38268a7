"""Outcome-based evaluation of doctors."""
