"""The small convolutional networks that the starter plugins share; not a plugin itself.

`ltzoo_convnets.vae` and `ltzoo_convnets.classifier` are the networks, `ltzoo_convnets.training` trains
them, `ltzoo_convnets.files` stores them, `ltzoo_convnets.adapters` makes them models and judges, and
`ltzoo_convnets.starter` is the training command of a starter plugin.
"""
