"""The report for a head of department: one HTML file that needs nothing else."""
