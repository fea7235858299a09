"""The one implementation of the metrics (METHOD 4): predictions in, numbers out. Needs numpy, and only its modules do."""
