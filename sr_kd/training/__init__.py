"""Phases, steps, checkpoints and recipes."""
