"""Batches and trainers. Imported before transformers and trl, so what those need is put in place here."""

from runtime.models import compat as compat
