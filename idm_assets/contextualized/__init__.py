"""Contextualized layer: observations speak of avatars and attributes instead of sources and tags."""
