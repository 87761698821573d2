"""Light changes keep what a view shows."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from crack_perception.training.data.light_views import light_views, symmetry  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 3, 3)])
def test_the_eight_symmetries_differ(shape: tuple[int, ...]) -> None:
    views = torch.arange(torch.Size(shape).numel()).reshape(shape)
    seen = {tuple(symmetry(views, i).flatten().tolist()) for i in range(8)}
    assert len(seen) == 8
    assert all(sorted(pixels) == sorted(views.flatten().tolist()) for pixels in seen)


def test_a_view_is_a_symmetry_of_its_picture_with_other_light() -> None:
    views = torch.randint(0, 256, (20, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    changed = light_views(views, torch.Generator().manual_seed(2))
    used = set()
    for view, result in zip(views, changed, strict=True):
        fits = []
        for i in range(8):
            turned = symmetry(view[None], i)[0].double().flatten()
            design = torch.stack([turned, torch.ones_like(turned)], dim=1)
            solution = torch.linalg.lstsq(design, result.double().flatten()[:, None]).solution[:, 0]
            fits.append((float((design @ solution - result.double().flatten()).abs().max()), i, float(solution[0])))
        error, index, gain = min(fits)
        assert error < 1e-3
        assert 0.6 < gain < 1.6
        used.add(index)
    assert used == set(range(8))


def test_light_views_repeat_with_their_seed() -> None:
    views = torch.randint(0, 256, (9, 4, 4, 3), dtype=torch.uint8)
    first, again, other = (light_views(views, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)
