from ltzoo.testing import ModelContract


class TestGan(ModelContract):
    model_id = "spoken-digits/gan"


class TestVae(ModelContract):
    model_id = "spoken-digits/vae"
