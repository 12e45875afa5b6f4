"""A small network on scikit-learn's digits, in plain NumPy: softmax beside AM-Softmax beside SV-AM-Softmax.

    python docs/examples/digits.py                      trains all three and prints a table
    python docs/examples/digits.py training.svg         draws them, too (needs matplotlib)

The embeddings have two dimensions, so that one can look at them. The network is 64 -> 128 -> 2; its backward pass is
written by hand, and that of the loss is svref's. docs/how-to/train.md explains it.
"""

import sys
from dataclasses import dataclass, field

import numpy as np
from sklearn.datasets import load_digits

import svref
import svref.head

S, M, T = 10.0, 0.1, 1.1
LOSSES = {
    "softmax": svref.softmax(s=S),
    "AM": svref.am_softmax(s=S, m=M),
    "SV-AM": svref.sv_am_softmax(s=S, m=M, t=T),
}
HIDDEN, BATCH, RATE, MOMENTUM = 128, 64, 0.05, 0.9


@dataclass
class History:
    """What happened in one training: a number for each epoch, and the embeddings at its end."""

    name: str
    accuracy: list = field(default_factory=list)  # of the test images
    support: list = field(default_factory=list)  # the fraction of negatives above c_y - m, on the training images
    embeddings: np.ndarray = None  # of the test images, (B, 2)
    labels: np.ndarray = None  # theirs, (B,)
    centres: np.ndarray = None  # the weights of the classes, (C, 2)


def digits():
    """1,797 images of 8 x 8 pixels, as vectors with mean 0: every fourth one is for the test."""
    images, labels = load_digits(return_X_y=True)
    for_test = np.arange(len(labels)) % 4 == 3
    images = (images - images[~for_test].mean(axis=0)) / 16
    return (images[~for_test], labels[~for_test]), (images[for_test], labels[for_test])


def network(random):
    """The parameters before training: two layers, and the weights of the ten classes, spread evenly on the circle."""
    angles = np.arange(10) * 2 * np.pi / 10
    return [
        random.normal(size=(64, HIDDEN)) * np.sqrt(2 / 64),
        np.zeros(HIDDEN),
        random.normal(size=(HIDDEN, 2)) * np.sqrt(1 / HIDDEN),
        np.stack([np.cos(angles), np.sin(angles)], axis=1),
    ]


def embed(parameters, images):
    """The hidden layer, and the embeddings (B, 2)."""
    first, bias, second, _ = parameters
    hidden = np.maximum(images @ first + bias, 0)
    return hidden, hidden @ second


def gradient(loss, parameters, images, labels):
    """The gradient of the mean loss by every parameter: svref's by embeddings and weights, then the chain rule."""
    _, _, second, centres = parameters
    hidden, embeddings = embed(parameters, images)
    _, by = svref.head.value_and_grad(loss, embeddings, centres, labels)
    by_hidden = (by.embeddings @ second.T) * (hidden > 0)
    return [images.T @ by_hidden, by_hidden.sum(axis=0), hidden.T @ by.embeddings, by.weights]


def measure(parameters, train, test, history):
    """Add the accuracy and the fraction of support vectors to a history."""
    (images, labels), centres = train, parameters[3]
    step = LOSSES["SV-AM"].forward(cosines(embed(parameters, images)[1], centres), labels)
    history.support.append(float(step.mask.sum() / (step.mask.size - len(labels))))
    guesses = cosines(embed(parameters, test[0])[1], centres).argmax(axis=1)
    history.accuracy.append(float(np.mean(guesses == test[1])))


def cosines(embeddings, centres):
    """The cosines (B, C)."""
    return svref.reference.cosines_of(embeddings, centres)


def train(name, epochs, seed=0):
    """Train with one of the losses, by stochastic gradient descent with momentum, and return its history."""
    random, (training, test) = np.random.default_rng(seed), digits()
    parameters, history = network(random), History(name)
    speeds = [np.zeros_like(p) for p in parameters]
    measure(parameters, training, test, history)
    for _ in range(epochs):
        order = random.permutation(len(training[1]))
        for rows in np.array_split(order, len(order) // BATCH):
            by = gradient(LOSSES[name], parameters, training[0][rows], training[1][rows])
            for parameter, speed, slope in zip(parameters, speeds, by, strict=True):
                speed *= MOMENTUM
                speed -= RATE * slope
                parameter += speed
        measure(parameters, training, test, history)
    history.embeddings, history.labels, history.centres = embed(parameters, test[0])[1], test[1], parameters[3]
    return history


def table(histories, every):
    """The accuracy and the fraction of support vectors of every so many epochs, as lines of text."""
    yield "epoch" + "".join(f"{h.name:>20}" for h in histories)
    yield "     " + "  accuracy   support" * len(histories)
    for epoch in range(0, len(histories[0].accuracy), every):
        cells = (f"{h.accuracy[epoch]:10.1%}{h.support[epoch]:10.2%}" for h in histories)
        yield f"{epoch:5}" + "".join(cells)


def main(epochs=30, every=5):
    """Train with the three losses, print the table, and draw it if a file is named."""
    histories = [train(name, epochs) for name in LOSSES]
    print("\n".join(table(histories, every)))
    if len(sys.argv) > 1:
        from svref.plots import save, training

        save(training(histories), sys.argv[1])


if __name__ == "__main__":
    main()
