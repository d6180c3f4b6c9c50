"""Training in-house: data, losses, recipes, the trainer."""
