"""Weights of FID's Inception: those of pytorch-fid, which all published figures are computed with, or random ones."""

from pathlib import Path

from facerefs.stages.engines.torch_file import fill, read_tensors
from facerefs.trainers.networks.inception import Inception
from facerefs.trainers.weights.imagenet import draw_weights
from facerefs.trainers.weights.pretrained import RANDOM, find_file

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"


def weights_file(setting: str) -> Path:
    """The file of the weights: a path, or that of `cache` or `download`. Raises MissingWeights."""
    return find_file(setting, FILE, URL)


def load_inception(setting: str) -> Inception:
    """Inception with the weights of a setting: a path, `cache`, `download` or `random`. Raises MissingWeights."""
    network = Inception()
    if setting == RANDOM:
        draw_weights(network)
        for name, values in network.state_dict().items():
            if ".bn." in name:
                values.fill_(float(name.endswith(("weight", "running_var"))))
        return network
    path = weights_file(setting)
    what = "FID's Inception"
    fill(network, read_tensors(path, what), f"{path} holds no weights of {what}")
    return network
