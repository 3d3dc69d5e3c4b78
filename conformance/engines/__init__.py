"""Other engines: what shares no code with MXNet and must say the same.

Nothing here is imported by a run that does not ask for it, and each engine is an extra of its own: ``onnx``, ``torch``.
"""
