"""What parties that hold the same columns of different rows compute together.

The federated Gaussian mixture on sums over parties: `standardisation` centres columns without pooling them,
`mixture_party` is a data party's half of an iteration, `mixture_arbiter` the key holder's, and `statistics` the
numbers that cross encrypted. Nothing here knows of messages, keys or files.
"""
