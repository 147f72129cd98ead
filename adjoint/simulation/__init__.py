"""What a schedule costs on a simulated machine. Pure."""
