"""One design per rung of evidence."""
