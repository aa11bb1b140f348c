"""`Bridge`: a trained map between the latent spaces of two or more models."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltzoo.bridge.config import BridgeConfig
from ltzoo.bridge.files import bridge_folder
from ltzoo.bridge.folder import read_folder, write_folder
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.randomness import Purpose, check_seed, generator, normal
from ltzoo.errors import BridgeError, FingerprintError, LatentsError
from ltzoo.registry import BridgeRow
from ltzoo.spec import ModelSpec, format_shape

__all__ = ["Bridge"]

CHUNK = 8192


class Bridge:
    """A trained bridge: gives latents of one model for latents of another.

    Args:
        config: What it joins and is built of.
        network: Its network, with weights. The bridge puts it into evaluation mode.

    Attributes:
        config: As given.
        network: As given.
    """

    def __init__(self, config: BridgeConfig, network: BridgeNetwork) -> None:
        self.config = config
        self.network = network.requires_grad_(False).eval()

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models that the bridge joins."""
        return tuple(end.spec.id for end in self.config.models)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.get_buffer("mean_0").device

    def __repr__(self) -> str:
        return f"Bridge({' - '.join(self.models)}, recipe {self.config.recipe.name!r})"

    @classmethod
    def from_pretrained(
        cls, reference: str | os.PathLike[str], *, device: str | torch.device = "cpu"
    ) -> Bridge:
        """Loads a bridge.

        Args:
            reference: A folder as a `Path`; or as a string a registry's id, ``hf:org/repo@commit``,
                ``hf:org/repo`` (the newest commit, which is looked up) or ``local:PATH``.
            device: Where the weights go.

        Raises:
            UnknownBridgeError: No registry lists the id, or there is no such folder.
            BridgeError: The folder's files are missing, malformed or do not fit together.
            SpecError: ``config.json`` is not a valid config.
            OfflineError, HubError, IntegrityError: The files cannot be fetched, or have another hash than
                the registry gives.
        """
        folder = bridge_folder(reference) if isinstance(reference, str) else Path(reference)
        return cls(*read_folder(folder, device))

    def save_pretrained(self, folder: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32) -> None:
        """Writes the bridge's folder: ``config.json``, ``model.safetensors`` and ``README.md``.

        Args:
            folder: A new or empty folder, or one that holds a bridge and nothing else, which is replaced.
            dtype: Of the stored weights: ``torch.float32`` or ``torch.float16``.

        Raises:
            BridgeError: The folder holds something else, cannot be written, or a weight is not finite in
                that dtype.
        """
        write_folder(Path(folder), self.config, self.network, dtype)

    def push_to_hub(
        self,
        repo: str,
        *,
        license: str,
        private: bool = False,
        licenses_checked: bool = False,
        message: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> BridgeRow:
        """Publishes the bridge on the Hugging Face Hub, in one commit; see ``ltzoo publish``.

        Args:
            repo: ``org/name``.
            license: Of its weights: an SPDX identifier, or ``other: where to read it``.
            private: Make the repository private, if it is new.
            licenses_checked: You have read the licences of models and data that ltzoo does not know.
            message: Of the commit.
            dtype: Of the stored weights.

        Returns:
            The row that lists it in a registry; it has the commit.

        Raises:
            UsageError: Licences of models or data forbid it.
            BridgeError: The bridge has no figures (`ltzoo.evaluation.evaluate_bridge`), or no command.
            OfflineError, HubError: The Hub cannot be reached, or refused.
        """
        from ltzoo.bridge.publishing import prepare, upload

        with tempfile.TemporaryDirectory(prefix="ltzoo-bridge-") as temporary:
            folder = Path(temporary, "bridge")
            self.save_pretrained(folder, dtype=dtype)
            with prepare(folder, repo, license=license, licenses_checked=licenses_checked) as prepared:
                return upload(prepared, private=private, message=message).row

    def check_models(self, specs: Iterable[ModelSpec]) -> None:
        """Makes sure that models at hand are the ones that the bridge was trained on.

        Raises:
            FingerprintError: A model has other weights than the one of that id that the bridge knows.
            BridgeError: The bridge does not join a model of that id.
        """
        for spec in specs:
            trained = self.config.models[self.index(spec.id)].fingerprint
            if trained != spec.fingerprint:
                raise FingerprintError(
                    f"the bridge was trained on other weights of {spec.id} (fingerprint {trained[:12]}) than those "
                    f"at hand ({spec.fingerprint[:12]})",
                    hint=f"ltzoo train {' '.join(self.models)}",
                )

    def index(self, model: str) -> int:
        """The position of a model in the bridge.

        Raises:
            BridgeError: The bridge does not join that model.
        """
        if model not in self.models:
            near = difflib.get_close_matches(model, self.models, n=1)
            raise BridgeError(
                f"the bridge does not join {model}",
                hint=f"did you mean '{near[0]}'?" if near else f"it joins {', '.join(self.models)}",
            )
        return self.models.index(model)

    def translate(
        self, z: Tensor, *, source: str, target: str, sample: bool = False, seed: int | None = None
    ) -> Tensor:
        """Latents of ``target`` for latents of ``source``.

        Args:
            z: float ``(n, *source latent shape)``.
            source: Id of the model that ``z`` belongs to.
            target: Id of the model to translate to; the same one gives reconstructions.
            sample: Draw z' from its posterior, as the authors do, instead of taking its mean.
            seed: Of that drawing; None for a new one every time.

        Returns:
            float32 ``(n, *target latent shape)``, on the device of ``z``. A bridge that works position by
            position keeps the size of what is shown; others give latents of the size trained on.

        Raises:
            BridgeError: The bridge does not join the models.
            LatentsError: ``z`` has the wrong shape or is not finite.
        """
        into, out_of = self.index(source), self.index(target)
        rng = _sampler(seed) if sample else None

        latents = self._checked(z, self.config.models[into].spec.latent.shape, source)
        size = self.network.entrance(into).size_after(latents.shape[2:], self.network.entrance(out_of))

        def step(chunk: Tensor) -> Tensor:
            translated = self._decode(self._encode(chunk, into, rng), out_of)
            for dim, length in enumerate(size, start=2):
                translated = translated.narrow(dim, 0, length)
            return translated

        return self._chunked(step, latents)

    def shared(self, z: Tensor, *, source: str) -> Tensor:
        """The posterior mean of z' for latents of ``source``: float32 ``(n, shared_dim)``.

        A bridge that works position by position has a z' at each: ``(n, shared_dim, *positions)``.

        Raises:
            BridgeError: The bridge does not join the model.
            LatentsError: ``z`` has the wrong shape or is not finite.
        """
        end = self.index(source)
        latents = self._checked(z, self.config.models[end].spec.latent.shape, source)
        return self._chunked(lambda chunk: self._encode(chunk, end, None), latents)

    def decode_shared(self, shared: Tensor, *, target: str) -> Tensor:
        """Latents of ``target`` for z', as `shared` gives it: float32 ``(n, *target latent shape)``.

        Raises:
            BridgeError: The bridge does not join the model.
            LatentsError: ``shared`` has the wrong shape or is not finite.
        """
        end = self.index(target)
        architecture = self.config.architecture
        places = len(architecture.entrance_shapes[end].shape) if architecture.trunk == "convolution" else 0
        codes = self._checked(shared, (architecture.shared_dim, *[None] * places), "the shared space")
        return self._chunked(lambda chunk: self._decode(chunk, end), codes)

    def classify(self, z: Tensor, *, source: str) -> Tensor:
        """Logits ``(n, classes)`` of the classifier on z', in the order of ``config.labels.classes``.

        Raises:
            BridgeError: The bridge does not join the model, or was trained without classes.
            LatentsError: ``z`` has the wrong shape or is not finite.
        """
        if not self.config.architecture.classes:
            raise BridgeError("the bridge was trained without labels and cannot classify")
        with torch.no_grad():
            logits = self.network.class_logits(self.shared(z, source=source).to(self.device))
        return logits.to(z.device)

    def novelty(self, z: Tensor, *, source: str) -> Tensor:
        """How far latents lie from those of ``source`` that the bridge was trained on.

        Args:
            z: float ``(n, *source latent shape)``.
            source: Id of the model that ``z`` belongs to.

        Returns:
            float32 ``(n,)``: the share of held-out latents that lie nearer, 0..1. Past
            `ltzoo.bridge.novelty.UNUSUAL` a translation may mean nothing.

        Raises:
            BridgeError: The bridge does not join the model.
            LatentsError: ``z`` has the wrong shape or is not finite.
        """
        end = self.index(source)
        latents = self._checked(z, self.config.models[end].spec.latent.shape, source)
        network = self.network
        return self._chunked(
            lambda part: network.novelty[end](network.describe(network.enter(part, end))), latents
        )

    def _encode(self, z: Tensor, end: int, rng: np.random.Generator | None) -> Tensor:
        mean, std = self.network.encode(self.network.enter(z, end), end)
        return mean if rng is None else mean + std * normal(rng, *mean.shape).to(mean.device)

    def _decode(self, shared: Tensor, end: int) -> Tensor:
        return self.network.leave(self.network.decode(shared, end), end)

    def _chunked(self, step: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        with torch.no_grad():
            # split gives one empty chunk for an empty batch, which keeps the result's shape right.
            parts = [step(chunk.to(self.device)).to(z.device) for chunk in torch.split(z, CHUNK)]
        return torch.cat(parts)

    @staticmethod
    def _checked(z: Tensor, shape: tuple[int | None, ...], owner: str) -> Tensor:
        fits = z.ndim == len(shape) + 1 and all(
            wanted in (None, size) for size, wanted in zip(z.shape[1:], shape, strict=True)
        )
        if not fits or not z.is_floating_point():
            raise LatentsError(
                f"latents of {owner} must be floats of shape n x {format_shape(shape)}, "
                f"not {str(z.dtype).removeprefix('torch.')} {format_shape(tuple(z.shape))}"
            )
        bad = ~z.isfinite().flatten(1).all(dim=1)
        if bool(bad.any()):
            raise LatentsError(f"latents of {owner}: row {int(bad.nonzero()[0])} has NaN or infinite values")
        return z.float()


def _sampler(seed: int | None) -> np.random.Generator:
    if seed is None:
        return np.random.default_rng()
    check_seed(seed)
    return generator(seed, Purpose.TRANSLATION)
