"""IDM: raw captures of industrial plants become clean, contextualized, aggregated tables."""
