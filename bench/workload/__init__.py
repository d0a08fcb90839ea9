"""What the benches of the exchange share: seeded input, peers, physical limits."""
