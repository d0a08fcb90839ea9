"""A venue: what an order meets, by rules alone."""
