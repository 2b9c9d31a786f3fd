"""Write restored photos, the sheet that compares them, and a JSON line per face."""
