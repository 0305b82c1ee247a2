"""Other projects' formats; the only package that may import basicsr."""
