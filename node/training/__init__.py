"""Training: labelled pictures become the weights of a model, with the scores that come with them."""
