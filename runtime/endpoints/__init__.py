"""Asking models over HTTP. What is asked and what becomes of the answers is said elsewhere: no result depends on this."""
