"""How faces of one person are compared and which become references; `stages/select.py` puts it together."""
