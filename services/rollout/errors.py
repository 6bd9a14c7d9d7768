"""What can keep a rollout from going on; the message says what and, where it helps, what to do."""


class RolloutError(RuntimeError):
    """Base of them all."""


class RefusedError(RolloutError):
    """It can't begin as it was asked for; nothing was changed."""


class TargetError(RolloutError):
    """The weights could not be read or written."""


class TakenOverError(RolloutError):
    """Somebody else changed the model's weights: they are left as they are."""


class PrometheusError(RolloutError):
    """Prometheus does not answer, or not what was asked."""


class InterruptedRolloutError(RolloutError):
    """A signal asked to stop."""
