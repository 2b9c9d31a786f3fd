"""RPF's modules: each makes an image of one side, and blocks of them lead from side to side."""
