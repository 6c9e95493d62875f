"""Small real data sets and weights, fetched and made on the spot: one module each."""
