"""Upscaling with trained networks."""
