"""Tables of pilots: panels, series and patients before and after."""
