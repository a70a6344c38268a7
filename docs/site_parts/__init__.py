"""Parts of the documentation's build, as small Sphinx extensions."""
