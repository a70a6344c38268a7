"""From draws to what is printed: intervals, probabilities, checks with a verdict."""
