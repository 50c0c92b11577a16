"""Parts of `train.py`: what is compared, its texts and models, a program for each contender, and the report."""
