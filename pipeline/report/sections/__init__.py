"""The sections of the report: each turns tables into what the template draws."""
