"""A head for face recognition with one mistake that its author's tests do not see: docs/tutorial/find-the-bug.md."""

import torch
from torch import nn
from torch.nn import functional


class SVAMHead(nn.Module):
    """SV-AM-Softmax: from embeddings and labels to the losses of the samples."""

    def __init__(self, in_features, out_features, s=32.0, m=0.35, t=1.2):
        super().__init__()
        self.s, self.m, self.t = s, m, t
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embeddings, labels):
        """The losses of the samples."""
        return self.stages(embeddings, labels.long())["loss"]

    def stages(self, embeddings, labels):
        """The losses, and what leads to them."""
        cosines = functional.linear(functional.normalize(embeddings), functional.normalize(self.weight))
        logits = self.s * cosines
        own = labels[:, None]
        target = logits.gather(1, own) - self.s * self.m
        hard = logits > target
        logits = torch.where(hard, self.t * logits + self.t - 1, logits)
        logits = logits.scatter(1, own, target)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return {"loss": losses, "mask": hard, "relative_logits": logits - target}


class SVAMHeadByStages(SVAMHead):
    """The same head, which returns a dict with its stages."""

    def forward(self, embeddings, labels):
        """The losses of the samples, the mask, and the logits less the target's."""
        return self.stages(embeddings, labels.long())
