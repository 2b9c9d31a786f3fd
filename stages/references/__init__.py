"""How faces of one person are compared and which of them are chosen as references; `stages.select` puts it together."""
