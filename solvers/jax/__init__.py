"""JAX scans as steppers."""
