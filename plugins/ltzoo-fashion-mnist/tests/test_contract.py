from ltzoo.testing import ModelContract


class TestVae(ModelContract):
    model_id = "fashion-mnist/vae"
