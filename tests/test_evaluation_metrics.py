"""Metrics: agreement with independent implementations, and constructed cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import torch

from ltzoo.evaluation.metrics import accuracy, bootstrap, cycle, frechet, manifold, neighbours, paired
from ltzoo.evaluation.metrics import smoothness as smooth
from ltzoo.evaluation.metrics import spread as spreads
from ltzoo.evaluation.metrics.distances import distances, nearest

CLASSES, EACH, DIMS = 5, 60, 12
TOLERANCE = 1e-3


def features(seed: int, *, shift: float = 0.0, scale: float = 1.0):
    """Classes of correlated Gaussian features, ``(300, 12)``, and their labels."""
    g = torch.Generator().manual_seed(seed)
    common = torch.Generator().manual_seed(99)
    centres = 6 * torch.randn(CLASSES, DIMS, generator=common)
    mixing = torch.randn(DIMS, DIMS, generator=common) / 3
    labels = torch.arange(CLASSES).repeat(EACH)
    noise = torch.randn(CLASSES * EACH, DIMS, generator=g) @ mixing
    return centres[labels] + scale * noise + shift, labels


@pytest.fixture
def real():
    return features(1)


@pytest.fixture
def fake():
    return features(2, shift=0.3, scale=0.8)


# Agreement


def classic_fid(x, y) -> float:
    """The textbook form, as in pytorch-fid: a general matrix square root in float64."""
    x, y = x.double().numpy(), y.double().numpy()
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root))


def test_fid_agrees_with_scipy_and_torchmetrics(real, fake):
    from torchmetrics.image.fid import FrechetInceptionDistance

    ours = frechet.frechet_distance(frechet.moments(real[0]), frechet.moments(fake[0]))
    assert ours == pytest.approx(classic_fid(real[0], fake[0]), rel=TOLERANCE)
    extractor = torch.nn.Identity()
    extractor.num_features = DIMS
    theirs = FrechetInceptionDistance(feature=extractor).set_dtype(torch.float64)
    theirs.update(real[0].double(), real=True)
    theirs.update(fake[0].double(), real=False)
    assert ours == pytest.approx(float(theirs.compute()), rel=TOLERANCE)


def test_fid_of_singular_covariances(real, fake):
    """Fewer items than features: the general root is inexact there, so the reference is a closed form."""
    x, y = real[0][:8], real[0][:8] * 2 + 1
    mean = (x.double().mean(0) - y.double().mean(0)).square().sum()
    # C2 = 4 C1, so the distance of the covariances is tr(C1 + 4 C1 - 2 * 2 C1) = tr C1.
    expected = float(mean + x.double().var(0).sum())
    ours = frechet.frechet_distance(frechet.moments(x), frechet.moments(y))
    assert ours == pytest.approx(expected, rel=1e-6)


def test_class_fid_is_the_mean_of_the_classes(real, fake):
    ours = frechet.class_frechet_distance(frechet.class_moments(*real), frechet.class_moments(*fake))
    each = [classic_fid(real[0][real[1] == c], fake[0][fake[1] == c]) for c in range(CLASSES)]
    assert ours == pytest.approx(np.mean(each), rel=TOLERANCE)


@pytest.mark.parametrize("k", [3, 5])
def test_manifold_scores_agree_with_prdc(real, fake, k):
    from prdc import compute_prdc

    ours = manifold.manifold_scores(real[0], fake[0], k=k)
    theirs = compute_prdc(real[0].double().numpy(), fake[0].double().numpy(), nearest_k=k)
    for name, value in theirs.items():
        assert float(getattr(ours, name).mean()) == pytest.approx(value, rel=TOLERANCE), name
    assert 0 < float(ours.recall.mean()) < 1  # the case is not a trivial one


def test_neighbours_agree_with_scikit_learn(real):
    from sklearn.neighbors import NearestNeighbors

    theirs = NearestNeighbors(n_neighbors=11).fit(real[0].double().numpy())
    gaps, index = theirs.kneighbors(real[0].double().numpy())
    ours = nearest(real[0], 10)
    assert ours[0].numpy() == pytest.approx(gaps[:, 1:], rel=TOLERANCE)
    noisy = real[0] + torch.randn(real[0].shape, generator=torch.Generator().manual_seed(3))
    after = NearestNeighbors(n_neighbors=11).fit(noisy.double().numpy()).kneighbors(noisy.double().numpy())[1]
    expected = np.mean([len({*a[1:]} & {*b[1:]}) / 10 for a, b in zip(index, after, strict=True)])
    overlap = neighbours.neighbourhood_overlap(real[0], noisy)
    assert float(overlap.mean()) == pytest.approx(expected, rel=TOLERANCE)


def test_r2_agrees_with_scikit_learn(real, fake):
    from sklearn.metrics import r2_score

    expected = r2_score(real[0], fake[0], multioutput="variance_weighted")
    assert cycle.r2(real[0], fake[0]) == pytest.approx(expected, rel=TOLERANCE)


def test_images_agree_with_torchmetrics():
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    g = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 20, 28, generator=g)
    y = (x + 0.2 * torch.randn(x.shape, generator=g)).clamp(0, 1)
    similarity = structural_similarity_index_measure(y, x, data_range=1.0, reduction="none")
    assert paired.ssim(x, y).numpy() == pytest.approx(similarity.numpy(), rel=TOLERANCE)
    for i in range(4):
        expected = float(peak_signal_noise_ratio(y[i], x[i], data_range=1.0))
        assert float(paired.psnr(x, y)[i]) == pytest.approx(expected, rel=TOLERANCE)


def test_log_spectral_distance_agrees_with_scipy():
    g = np.random.default_rng(0)
    x, y = 0.3 * g.standard_normal((2, 1, 4096)), 0.2 * g.standard_normal((2, 1, 4096))

    def decibels(sound):
        spectrum = scipy.signal.stft(
            sound, window="hann", nperseg=512, noverlap=384, boundary="zeros", padded=False
        )[2]
        return 10 * np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-8))

    expected = np.sqrt(((decibels(x) - decibels(y)) ** 2).mean(-2)).mean((-2, -1))
    ours = paired.log_spectral_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert ours.numpy() == pytest.approx(expected, rel=TOLERANCE)


def test_interval_of_a_mean_agrees_with_scipy():
    from scipy.stats import bootstrap as scipy_bootstrap

    values = np.random.default_rng(0).gamma(2.0, size=200)
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bootstrap.mean_interval(torch.from_numpy(values), bootstrap.Resampling(draws=20_000))
    # Two samplings of one thing: the width is about 0.4.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)


# Constructed cases


def test_equal_sets(real):
    x, labels = real
    assert frechet.frechet_distance(frechet.moments(x), frechet.moments(x.clone())) == pytest.approx(
        0, abs=1e-9
    )
    scores = manifold.manifold_scores(x, x.clone())
    assert float(scores.precision.mean()) == float(scores.recall.mean()) == float(scores.coverage.mean()) == 1
    variances = spreads.class_variances(x, labels)
    assert spreads.spread(variances, variances) == 1
    assert float(neighbours.neighbourhood_overlap(x, x * 3 + 1).mean()) == 1
    assert cycle.r2(x, x) == 1
    assert paired.ranks(x, x).eq(1).all()
    assert paired.cosine(x, 2 * x).numpy() == pytest.approx(np.ones(len(x)))


def test_shift_alone_is_its_square(real):
    x, _ = real
    y = x.double() + torch.tensor([3.0] + [0.0] * (DIMS - 1))
    assert frechet.frechet_distance(frechet.moments(x), frechet.moments(y)) == pytest.approx(9, abs=1e-6)


def test_class_permutation_shows_only_class_wise(real):
    x, labels = real
    permuted = (labels + 1) % CLASSES
    whole = frechet.frechet_distance(frechet.moments(x), frechet.moments(x))
    by_class = frechet.class_frechet_distance(
        frechet.class_moments(x, labels), frechet.class_moments(x, permuted)
    )
    assert whole < 1e-6
    assert by_class > 50
    assert float(accuracy.correct(permuted, labels).mean()) == 0


def test_collapse_to_one_point(real):
    x, labels = real
    one = x[:1].expand_as(x)
    scores = manifold.manifold_scores(x, one)
    assert float(scores.recall.mean()) == 0
    assert float(scores.precision.mean()) == 1  # it is a real point
    assert float(scores.coverage.mean()) < 0.1
    assert spreads.spread(spreads.class_variances(one, labels), spreads.class_variances(x, labels)) == 0
    assert cycle.r2(x, x.mean(0).expand_as(x)) == pytest.approx(0, abs=1e-9)
    assert float(paired.ranks(x, one).mean()) == pytest.approx((len(x) + 1) / 2)


def test_shuffle_inside_classes_keeps_all_but_neighbours(real):
    x, labels = real
    g = torch.Generator().manual_seed(5)
    order = torch.arange(len(x))
    for label in range(CLASSES):
        members = (labels == label).nonzero()[:, 0]
        order[members] = members[torch.randperm(len(members), generator=g)]
    y = x[order]
    assert frechet.class_frechet_distance(
        frechet.class_moments(x, labels), frechet.class_moments(y, labels)
    ) == pytest.approx(0, abs=1e-6)
    # By chance, among the 59 others of the class.
    assert float(neighbours.neighbourhood_overlap(x, y).mean()) == pytest.approx(10 / 59, abs=0.04)
    assert cycle.r2(x, y) < 1


def test_neighbourhood_overlap_draws_a_seeded_subset(real):
    x = real[0]
    y = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    first = neighbours.neighbourhood_overlap(x, y, items=100, seed=1)
    assert len(first) == 100
    assert torch.equal(first, neighbours.neighbourhood_overlap(x, y, items=100, seed=1))
    assert not torch.equal(first, neighbours.neighbourhood_overlap(x, y, items=100, seed=2))


def test_smoothness():
    steps = torch.linspace(0, 1, 9)[:, None]
    line = steps * torch.tensor([3.0, 4.0])
    jump = (steps > 0.5).float() * torch.tensor([3.0, 4.0])
    round_trip = torch.sin(math.pi * steps).abs() * torch.tensor([1.0, 0.0])
    uneven = steps**2 * torch.tensor([3.0, 4.0])
    still = torch.zeros(9, 2)
    found = smooth.path_smoothness(torch.stack([line, jump, round_trip, uneven, still])).tolist()
    assert found[:3] == pytest.approx([1, 1 / 8, 0], abs=1e-6)
    assert 1 / 8 < found[3] < 1
    assert math.isnan(found[4])
    # Scale and place do not matter.
    assert smooth.path_smoothness(7 * uneven[None] + 5).item() == pytest.approx(found[3], rel=1e-4)


def test_pairs_are_of_one_class_and_two_items():
    labels = torch.tensor([0, 0, 1, 1, 1, 2, -1, -1])
    pairs = smooth.same_class_pairs(labels, 20, seed=0)
    assert pairs.shape == (20, 2)
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(labels[pairs].flatten().tolist()) == {0, 1}
    assert smooth.same_class_pairs(torch.tensor([0, 1]), 5, seed=0).shape == (0, 2)


def test_noise_has_the_mean_posterior_size():
    std = torch.tensor([[0.1, 1.0], [0.3, 3.0]])
    z = torch.zeros(20_000, 2)
    noisy = cycle.with_posterior_noise(z, std, seed=0)
    assert noisy.std(0).tolist() == pytest.approx([0.2, 2.0], rel=0.03)
    assert torch.equal(noisy, cycle.with_posterior_noise(z, std, seed=0))


def test_equal_points_have_no_distance():
    x = 1000 + torch.randn(50, 300, generator=torch.Generator().manual_seed(0))
    assert distances(x, x.clone()).diagonal().eq(0).all()
    with pytest.raises(ValueError, match="more than 60"):
        nearest(x, 60)


def test_ranks_share_ties():
    truth = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    assert paired.ranks(truth, truth).tolist() == [1.5, 1.5, 1.0]


def test_undefined_is_nan():
    assert math.isnan(accuracy.share(0.5, 0.0))
    assert math.isnan(cycle.r2(torch.ones(3, 2), torch.zeros(3, 2)))
    assert math.isnan(spreads.spread({}, {0: 1.0}))
    assert math.isnan(frechet.class_frechet_distance({}, {}))
    with pytest.raises(ValueError, match="at least two"):
        frechet.moments(torch.ones(1, 3))


def test_intervals_cover_at_their_level():
    """95 % intervals of the mean hold the truth in about 95 of 100 repetitions."""
    g = torch.Generator().manual_seed(0)
    hits = 0
    for repetition in range(300):
        low, high = bootstrap.mean_interval(
            torch.randn(100, generator=g), bootstrap.Resampling(draws=400, seed=repetition)
        )
        hits += low < 0 < high
    assert 0.90 < hits / 300 < 0.98


def test_intervals_of_biased_statistics_hold_the_figure(real, fake):
    x = frechet.class_moments(*real)

    def statistic(index):
        return frechet.class_frechet_distance(x, frechet.class_moments(fake[0][index], fake[1][index]))

    value = statistic(torch.arange(len(fake[0])))
    how = bootstrap.Resampling(draws=50, seed=3)
    interval = bootstrap.statistic_interval(statistic, value, how, groups=fake[1])
    assert interval[0] < value < interval[1]
    assert interval == bootstrap.statistic_interval(statistic, value, how, groups=fake[1])


def test_resamples_keep_the_size_of_groups():
    groups = torch.tensor([0, 1, 1, 0, 1])
    drawn = groups[bootstrap.resamples(5, bootstrap.Resampling(draws=7), groups)]
    assert drawn.sum(1).eq(3).all()


def test_ratio_interval_holds_the_ratio():
    g = torch.Generator().manual_seed(0)
    below = torch.rand(500, generator=g) + 0.5
    above = 2 * below + 0.1 * torch.randn(500, generator=g)
    low, high = bootstrap.ratio_interval(above, below, bootstrap.Resampling())
    assert low < float(above.sum() / below.sum()) < high
    assert 1.9 < low < high < 2.1
