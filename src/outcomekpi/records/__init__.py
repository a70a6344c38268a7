"""Records of patients as hospitals keep them: tables, importers, units, quality."""
