"""A venue: deterministic, in integers, pure. What fills, at what price, and why."""
