from ltzoo.testing import ModelContract


class TestVae(ModelContract):
    model_id = "mnist/vae"


class TestVaeB(ModelContract):
    model_id = "mnist/vae-b"
