"""What would overturn an effect, and what a pilot could have shown."""
