"""Searching, filtering, sorting and paging the rows of a view."""
