"""Random checkpoints of each class of diffusers, a few kilobytes large."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

KL: dict[str, Any] = {
    "block_out_channels": (8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "norm_num_groups": 2,
    "latent_channels": 4,
    "layers_per_block": 1,
}
VIDEO: dict[str, Any] = {
    "base_dim": 4,
    "z_dim": 3,
    "dim_mult": [1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True],
    "latents_mean": [0.5, -1.0, 0.25],
    "latents_std": [2.0, 0.5, 1.5],
}

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "kl": ("AutoencoderKL", {**KL, "scaling_factor": 0.5, "shift_factor": 0.25}),
    "kl-statistics": (
        "AutoencoderKL",
        {
            **KL,
            "scaling_factor": 0.5,
            "latents_mean": [0.5, -1.0, 0.0, 2.0],
            "latents_std": [2.0, 0.5, 1.0, 3.0],
        },
    ),
    "kl-grey": ("AutoencoderKL", {**KL, "in_channels": 1, "out_channels": 1}),
    "tiny": (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": (8, 8, 8),
            "decoder_block_out_channels": (8, 8, 8),
            "num_encoder_blocks": (1, 1, 1),
            "num_decoder_blocks": (1, 1, 1),
        },
    ),
    "dc": (
        "AutoencoderDC",
        {
            "latent_channels": 6,
            "attention_head_dim": 4,
            "encoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "encoder_block_out_channels": (6, 12, 12),
            "decoder_block_out_channels": (6, 12, 12),
            "encoder_layers_per_block": (1, 1, 1),
            "decoder_layers_per_block": (1, 1, 1),
            "encoder_qkv_multiscales": ((), (), (5,)),
            "decoder_qkv_multiscales": ((), (), (5,)),
            "downsample_block_type": "Conv",
            "scaling_factor": 0.41407,
        },
    ),
    "vq": ("VQModel", {**KL, "latent_channels": 4, "vq_embed_dim": 3, "num_vq_embeddings": 16}),
    "asymmetric": (
        "AsymmetricAutoencoderKL",
        {
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "down_block_out_channels": (8, 8),
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "up_block_out_channels": (8, 16),
            "norm_num_groups": 2,
        },
    ),
    "flux2": ("AutoencoderKLFlux2", {**KL, "latent_channels": 4}),
    "hunyuan": (
        "AutoencoderKLHunyuanImage",
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "block_out_channels": (32, 32, 32),
            "layers_per_block": 1,
            "spatial_compression_ratio": 4,
            "sample_size": 64,
            "scaling_factor": 0.75,
        },
    ),
    "kvae": (
        "AutoencoderKLKVAE",
        {"channels": 32, "num_enc_blocks": 1, "num_dec_blocks": 1, "z_channels": 4, "ch_mult": (1, 1)},
    ),
    "qwen": ("AutoencoderKLQwenImage", VIDEO),
    "wan": ("AutoencoderKLWan", VIDEO),
}


def save_tiny(name: str, folder: Path, **changes: Any) -> Any:
    """Writes one of them; gives the network."""
    import torch

    cls, config = TINY[name]
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        import diffusers

        torch.manual_seed(0)
        network = getattr(diffusers, cls)(**{**config, **changes}).eval()
        network.save_pretrained(folder)
    return network
