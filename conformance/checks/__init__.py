"""The families of checks, one a file.

- structure: what the network is, operator by operator.
- parameters: how many there are, how much work they are, and how they start.
- execution: every variant of execution computes the same.
- claim: a claim computes what the reference computes, with the same weights.
- behaviour: gradients, running statistics, dropout, batches, seeds.
- numerics: precision, accumulated gradients, gradients that are derivatives.
- files: parameters and exported networks survive the disk; damaged files are refused.
- training: the training loop, the reference's or the user's, does to the network what it says.
- convergence: the network learns real images, and does not learn what cannot be learned.
- device: a GPU computes what the CPU computes.
"""
