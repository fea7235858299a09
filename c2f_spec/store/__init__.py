"""Records, plans, files and progress on object storage. Nothing here knows what a stage computes."""
