"""Recurrent PyTorch modules as steppers."""
