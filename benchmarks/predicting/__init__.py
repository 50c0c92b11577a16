"""Parts of `predict.py`: its texts, what it compares, the timing, processes of their own, and the report."""
