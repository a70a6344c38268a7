"""The door: files, columns, labels and times become checked tables with named roles."""
