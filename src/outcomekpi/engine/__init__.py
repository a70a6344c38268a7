"""The fast engine: doctor effects integrated out by quadrature, everything else by weights."""
