"""Goals of patients: what counts as reached."""
