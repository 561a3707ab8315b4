"""What parties that hold different columns of the same rows compute together.

The federated Gaussian mixture: `mixture_party` is a data party's half of an iteration, `mixture_arbiter`
the key holder's, `score_encoding` the numbers that cross encrypted, and `messages` the only bytes that do.
"""
