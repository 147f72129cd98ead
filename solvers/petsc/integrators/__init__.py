"""Time integrators with discrete adjoints: theta methods, BDF2, Runge-Kutta."""
