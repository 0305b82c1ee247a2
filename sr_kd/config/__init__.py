"""Option files: schema, loader, and what is built from them."""
