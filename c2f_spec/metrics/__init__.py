"""The one implementation of the metrics (METHOD 4), from predictions to numbers. It needs numpy."""
