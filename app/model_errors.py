"""The problems that the registry of models can name."""

from app.errors import Problem


class ModelNotFound(Problem):
    """No model version has the id."""

    status = 404
    slug = "model-not-found"
    title = "No such model version"

    def __init__(self, version_id: int) -> None:
        super().__init__(f"There is no model version {version_id}.")


class ModelRefusedByGate(Problem):
    """The gate found the version worse than what is live or than popularity; `force` with a `reason` overrides it."""

    status = 409
    slug = "model-refused-by-gate"
    title = "The gate refused this model version"


class ModelNotPromotable(Problem):
    """The version is live already, its arrays are gone or damaged, or there is nothing to go back to."""

    status = 409
    slug = "model-not-promotable"
    title = "This model version cannot go live"


class ModelHasNoArtifact(Problem):
    """The arrays of the version are no longer kept, or damaged."""

    status = 404
    slug = "model-has-no-artifact"
    title = "The arrays of this model version are not there"


class BundleNotTaken(Problem):
    """What was sent is no bundle of a model, or a damaged, oversized or newer one."""

    status = 422
    slug = "bundle-not-taken"
    title = "The bundle was not taken"
