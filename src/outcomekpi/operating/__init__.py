"""Operating characteristics: what a rule does by chance."""
