"""Rung 6: stepped wedges."""
