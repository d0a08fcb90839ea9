"""Economic events: from files and from a provider, each statement stamped with when it became knowable."""
