"""The annual review: whether each bar is in the right place."""
