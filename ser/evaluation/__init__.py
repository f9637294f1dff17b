"""Figures, reports, and what they are made of."""
