"""Clips as media: `render` draws them, `decode` reads them, `measure` describes them in numbers."""
