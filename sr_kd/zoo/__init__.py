"""Shipped weights and their manifest."""
