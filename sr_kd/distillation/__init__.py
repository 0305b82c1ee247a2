"""A large model made small in one call: its answers to images stored, a student trained on them, files to ship."""
