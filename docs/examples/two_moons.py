"""Two moons, and what a low temperature does to the boundary between them: figure 3 of ProxyNCA++ (arXiv 2004.01113).

    python docs/examples/two_moons.py two_moons.png

A small network embeds points of the plane on a circle; ProxyNCA++ trains it with one proxy per moon, at four
temperatures, for as many steps each. The shade is the probability of the first moon's proxy at the temperature of
training. At 1 no probability can exceed 1 / (1 + e^-4) = 0.98, so that points that lie right keep pulling and the
boundary bends round single strays; the lower the temperature, the smoother it is, and the broader where it is unsure.
![what it draws](two_moons.png)
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from mlrc.losses.proxy_nca_pp import ProxyNCAPlusPlusLoss

TEMPERATURES = (1.0, 1 / 3, 1 / 9, 1 / 18)
NOISE, POINTS, STEPS, SIDE = 0.3, 100, 150, 120


def moons(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Give points `(2 * POINTS, 2)` on two interleaved half circles, with noise, and their labels."""
    random = np.random.default_rng(seed)
    angles = random.uniform(0, np.pi, (2, POINTS))
    first = np.stack([np.cos(angles[0]), np.sin(angles[0])], axis=1)
    second = np.stack([1 - np.cos(angles[1]), 0.5 - np.sin(angles[1])], axis=1)
    points = np.concatenate([first, second]) + NOISE * random.standard_normal((2 * POINTS, 2))
    return torch.from_numpy(points).float(), torch.arange(2).repeat_interleave(POINTS)


def train(temperature: float, points: Tensor, labels: Tensor, steps: int) -> tuple[nn.Module, ProxyNCAPlusPlusLoss]:
    """Train the network and the proxies at one temperature."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    loss = ProxyNCAPlusPlusLoss(2, 2, temperature)
    optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(loss(network(points), labels))
        optimizer.step()
    return network, loss


@torch.inference_mode()
def probability(network: nn.Module, loss: ProxyNCAPlusPlusLoss, points: Tensor) -> Tensor:
    """Give the probability of the first moon's proxy, `(points,)`."""
    return torch.softmax(-loss.get_logits(network(points)) / loss.temperature, dim=1)[:, 0]


def main(path: Path, steps: int = STEPS) -> list[float]:
    """Draw the picture; give the share of the points that lie on their side, by temperature."""
    points, labels = moons()
    across, up = np.meshgrid(np.linspace(-1.9, 2.9, SIDE), np.linspace(-1.7, 2.0, SIDE))
    places = torch.from_numpy(np.stack([across.ravel(), up.ravel()], axis=1)).float()
    figure, right = Figure(figsize=(12, 3)), []
    for axes, temperature in zip(figure.subplots(1, len(TEMPERATURES)), TEMPERATURES, strict=True):
        network, loss = train(temperature, points, labels, steps)
        shade = probability(network, loss, places).reshape(SIDE, SIDE)
        axes.contourf(across, up, shade.numpy(), levels=20, cmap="RdBu", vmin=0, vmax=1)
        axes.scatter(*points.T.numpy(), c=labels.numpy(), cmap="coolwarm", s=4)
        axes.set_title(f"T = 1/{1 / temperature:.0f}" if temperature < 1 else "T = 1")
        axes.set_axis_off()
        right.append(float(((probability(network, loss, points) > 0.5) == (labels == 0)).float().mean()))
    figure.savefig(path, dpi=80, bbox_inches="tight")
    return right


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "two_moons.png"))
