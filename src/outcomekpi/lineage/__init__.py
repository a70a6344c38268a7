"""Where a number comes from: versions, seeds, fingerprints, methods and how to cite them."""
