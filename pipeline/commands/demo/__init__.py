"""The demo: rendered people with planted defects, built into a training set, and what was found of them."""
