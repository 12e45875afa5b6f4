"""The head of buggy_head.py without its mistake: the logits are scaled last. See docs/tutorial/find-the-bug.md."""

import torch
from buggy_head import SVAMHead
from torch.nn import functional


class MendedHead(SVAMHead):
    """SV-AM-Softmax: from embeddings and labels to the losses of the samples."""

    def stages(self, embeddings, labels):
        """The losses, and what leads to them."""
        cosines = functional.linear(functional.normalize(embeddings), functional.normalize(self.weight))
        own = labels[:, None]
        target = cosines.gather(1, own) - self.m
        hard = cosines > target
        emphasised = torch.where(hard, self.t * cosines + self.t - 1, cosines)
        logits = self.s * emphasised.scatter(1, own, target)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return {"loss": losses, "mask": hard, "relative_logits": logits - self.s * target}
