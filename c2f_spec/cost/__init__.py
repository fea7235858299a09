"""What a stage needs: memory of a GPU, and time. Pure arithmetic over the spec, the placement and coefficients."""
