"""Sockets: one module for each family of protocols, and what they have in common."""
