"""Reads sources: finds their files, reads every form of them, and maps their columns to rows."""
