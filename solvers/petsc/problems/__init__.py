"""Model problems in the form that the integrators take."""
