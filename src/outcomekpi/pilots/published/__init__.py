"""Rung 0: pilots of which only figures were published."""
