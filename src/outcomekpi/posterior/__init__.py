"""From cases to a posterior, and checks, files and predictions of it."""
