"""The average follows parameters and buffers."""

import torch
from torch import nn

from sr_kd.training.ema import EMA


def test_average_of_parameters_and_buffers():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    ema = EMA(network, 0.9)
    expected = {key: value.clone().double() for key, value in network.state_dict().items()}
    for updates in range(5):
        network(torch.randn(8, 3))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.update(network, 1000 + updates)
        for key, value in network.state_dict().items():
            expected[key] = 0.9 * expected[key] + 0.1 * value if value.is_floating_point() else value.double()
    for key, value in ema.state_dict().items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-5, atol=1e-6)
    assert int(ema.state_dict()["1.num_batches_tracked"]) == 5
    assert not ema.network.training


def test_a_young_average_forgets_the_first_weights():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(network, 0.999)
    nn.init.ones_(network.weight)
    for updates in range(100):
        ema.update(network, updates)
    assert 0.999 < float(ema.network.weight.detach()) < 1
