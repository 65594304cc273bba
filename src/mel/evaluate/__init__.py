"""How good a model is: Pass@1, Avg@k and Pass@k with intervals."""
