"""Awards for doctors: who is paid by mistake, and where to put the bar."""
