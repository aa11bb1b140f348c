"""Random checkpoints of audio codecs and image encoders of transformers, as small as their classes allow."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

SEANET: dict[str, Any] = {
    "num_filters": 4,
    "hidden_size": 8,
    "upsampling_ratios": [2, 2],
    "sampling_rate": 400,
    "codebook_size": 16,
    "codebook_dim": 8,
}
TRANSFORMER: dict[str, Any] = {
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "sliding_window": 16,
    "upsample_groups": 8,
}
DAC: dict[str, Any] = {
    "encoder_hidden_size": 4,
    "decoder_hidden_size": 16,
    "n_codebooks": 2,
    "codebook_size": 16,
    "codebook_dim": 4,
}
HUBERT: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [8, 8],
    "conv_kernel": [4, 2],
    "conv_stride": [2, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}

CODECS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "encodec": ("EncodecModel", "EncodecConfig", SEANET),
    "encodec-stereo": (
        "EncodecModel",
        "EncodecConfig",
        {
            **SEANET,
            "audio_channels": 2,
            "normalize": True,
            "chunk_length_s": 1.0,
            "overlap": 0.01,
            "norm_type": "time_group_norm",
            "use_causal_conv": False,
        },
    ),
    "dac": ("DacModel", "DacConfig", {**DAC, "downsampling_ratios": [2, 3], "sampling_rate": 600}),
    "mimi": (
        "MimiModel",
        "MimiConfig",
        {
            **SEANET,
            **TRANSFORMER,
            "vector_quantization_hidden_dimension": 8,
            "num_quantizers": 3,
        },
    ),
    "xcodec": (
        "XcodecModel",
        "XcodecConfig",
        {
            "sample_rate": 400,
            "codebook_size": 16,
            "target_bandwidths": [0.4, 0.8],
            "acoustic_model_config": {**DAC, "model_type": "dac", "downsampling_ratios": [2, 2]}
            | {"upsampling_ratios": [2, 2], "hidden_size": 8, "sampling_rate": 400},
            "semantic_model_config": {**HUBERT, "model_type": "hubert"},
        },
    ),
    "wavtokenizer": (
        "WavTokenizerModel",
        "WavTokenizerConfig",
        {
            **SEANET,
            "num_lstm_layers": 1,
            "decoder_hidden_size": 32,
            "decoder_intermediate_size": 32,
            "decoder_num_layers": 1,
        },
    ),
    "vibevoice": (
        "VibeVoiceAcousticTokenizerModel",
        "VibeVoiceAcousticTokenizerConfig",
        {"hidden_size": 6, "num_filters": 2, "downsampling_ratios": [2, 2], "depths": [1, 1, 1]},
    ),
    "pocket": (
        "PocketTTSAudioTokenizerModel",
        "PocketTTSAudioTokenizerConfig",
        {
            **{key: value for key, value in SEANET.items() if not key.startswith("codebook")},
            **TRANSFORMER,
            "latent_stride": 2,
            "latent_dim": 5,
        },
    ),
}

VIT: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}
TEXT: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 16,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE = {"do_resize": True, "size": {"height": 16, "width": 16}, "resample": 3, **HALF}
CROPPED = {
    "do_resize": True,
    "size": {"shortest_edge": 18},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 16, "width": 16},
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
}

ENCODERS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {"vision_config": {**VIT, "projection_dim": 6}, "text_config": TEXT, "projection_dim": 6},
        CROPPED,
    ),
    "clip-vision": ("CLIPVisionModelWithProjection", "CLIPVisionConfig", {**VIT, "projection_dim": 5}, CROPPED),
    "siglip": ("SiglipModel", "SiglipConfig", {"vision_config": VIT, "text_config": TEXT}, SQUARE),
    "siglip-vision": ("SiglipVisionModel", "SiglipVisionConfig", VIT, SQUARE),
    "dinov2": ("Dinov2Model", "Dinov2Config", VIT, CROPPED),
    "dinov2-registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", VIT, CROPPED),
}  # fmt: skip


def save_tiny_transformer(name: str, folder: Path, **changes: Any) -> Any:
    """Writes one of them; gives the network."""
    import torch

    cls, config_cls, config, *preprocessing = {**CODECS, **ENCODERS}[name]
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        import transformers
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.manual_seed(0)
        settings = getattr(transformers, config_cls)(**{**config, **changes})
        network = getattr(transformers, cls)(settings).eval()
        if name in ("dac", "vibevoice"):
            # Which begin so small that nothing comes out.
            for parameter in network.parameters():
                if parameter.ndim >= 3:
                    parameter.data.normal_(std=0.4 * parameter[0].numel() ** -0.5)
        for key, buffer in network.named_buffers():
            # Codebooks begin as zeros.
            if key.endswith(("codebook.embed", "embed_sum")):
                buffer.normal_()
        network.save_pretrained(folder)
    if preprocessing:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing[0]))
    return network
