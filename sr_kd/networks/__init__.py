"""Networks: the students, the hourglass encoder and the privileged teacher."""

from __future__ import annotations

from .base import Network, SRNetwork, Tap
from .build import NETWORKS, build_network
from .foreign import ForeignNetwork, recorded

__all__ = ["NETWORKS", "ForeignNetwork", "Network", "SRNetwork", "Tap", "build_network", "recorded"]
