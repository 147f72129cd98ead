"""What steps and transfers cost on this machine: measured before and during evaluations."""
