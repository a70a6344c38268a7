"""Made-up tables whose truth is known: cases, pilots, rollouts, histories."""
