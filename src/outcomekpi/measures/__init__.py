"""Indicators as data: a definition in TOML, compiled to one SQL statement, judged per patient."""
