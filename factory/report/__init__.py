"""The pages of a version."""
