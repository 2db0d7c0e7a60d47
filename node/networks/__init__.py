"""Networks: building blocks in pure Keras 3, from which the architectures of several models are drawn."""
