"""What every design speaks: estimates, findings, verdicts, and the verb."""
