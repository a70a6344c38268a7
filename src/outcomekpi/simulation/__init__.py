"""Worlds whose truth is known: synthetic hospitals, and what they really are."""
