"""The demo: synthetic people with planted defects, a training set built from them, and scores of what was found."""
