"""Did the program work? One design per rung of evidence, one result, one wording."""
