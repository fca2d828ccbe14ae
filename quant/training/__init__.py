"""Training by a recipe: phases of epochs, checkpoints, workers, data that is changed at random."""
