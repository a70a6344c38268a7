"""Pictures of results: one file per picture, an Axes in and an Axes out."""
