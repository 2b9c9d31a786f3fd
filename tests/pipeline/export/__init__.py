"""Tests of `facerefs export`."""
