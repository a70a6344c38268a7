"""Rungs 2 and 3: interrupted series, alone and beside a control."""
