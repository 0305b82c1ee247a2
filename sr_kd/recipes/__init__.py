"""Recipes: loaded, checked, run and reported."""
