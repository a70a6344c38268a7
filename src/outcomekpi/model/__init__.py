"""What is fitted: formula, design, families, priors."""
