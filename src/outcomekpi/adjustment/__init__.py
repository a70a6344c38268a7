"""From cases to a posterior: specification, design, engines, checks, storage."""
