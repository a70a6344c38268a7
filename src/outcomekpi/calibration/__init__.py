"""Are the predictions right: calibration of a model, by group, across centers."""
