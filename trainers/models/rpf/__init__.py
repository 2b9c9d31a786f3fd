"""RPF: the model (`rpf.py`), its schedule and masks, and the modules of its reconstruction blocks."""
