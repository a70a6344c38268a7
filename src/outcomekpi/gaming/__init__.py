"""Gaming: readings moved, patients dropped, improvement that is none."""
