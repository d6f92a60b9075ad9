"""Fails every third request of each tenant, as the header x-tenant-id names them. The count outlives the instances: the host
keeps it."""

import json

from sdk import api_error, fits, header
from wit_world import exports
from wit_world.exports.failure_selector import Failure_Error, Moment_OnArrival, Outcome
from wit_world.exports.lifecycle import Description
from wit_world.imports import state
from wit_world.imports.types import Arrival


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Description:
        return Description(
            name="flaky",
            version="0.1.0",
            summary="fails every third request of a tenant",
            needs=["header:x-tenant-id"],
            config_schema=json.dumps({"type": "object", "additionalProperties": False}),
            extras=[],
        )

    def init(self, config: str) -> None:
        pass


class FailureSelector(exports.FailureSelector):
    def select(self, req: Arrival) -> list[Outcome]:
        tenant = header(req, "x-tenant-id")
        if tenant is None or state.increment(f"requests of {tenant}", 1) % 3 != 0:
            return []
        error = api_error(503, f"the third request of {tenant} is unlucky", [("retry-after", "1")])
        return fits([Outcome(failure=Failure_Error(error), moment=Moment_OnArrival())], list[Outcome], "outcomes")
