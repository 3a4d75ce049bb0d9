"""Publication layer: the one DuckDB file that analysts open."""
