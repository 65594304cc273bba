"""`mel browse`: the experiences of a run, however many, in a browser on this machine."""
