"""`facerefs verify`: a training set checked byte by byte, as a stranger would."""
