"""Yahoo's chart endpoint: shares, funds, futures, currencies and indices, adjusted for splits."""
