"""What is asked, said once: errors that speak, numbers with their meaning and range."""
