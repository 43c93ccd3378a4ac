"""Tools on the pure core: what people and tests use around the running edge."""
