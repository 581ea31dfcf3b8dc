"""However launchers and workers step through each other, no upload lies on the queue with nobody to take it.

A hypothesis state machine over the production slots and launcher, in a bucket of the loopback cloud. Steps run between
each other and while Cloud Run is being asked; in every order, what was queued is taken without the reconciler, unless
Cloud Run refused a launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from infra.emulators.storage.server import StorageServer
from shared.errors import FailureKind
from tests.support.execution_model import ModelDeployment

EXAMPLES, STEPS = 25, 30


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with StorageServer(tmp_path_factory.mktemp("objects")) as server:
        options = ClientOptions(api_endpoint=server.url)
        yield Client(project="p", credentials=AnonymousCredentials(), client_options=options)


def machine(client: Client) -> type[RuleBasedStateMachine]:
    """The state machine over buckets of `client`, one for each example."""
    buckets = iter(range(10**6))

    class Executions(RuleBasedStateMachine):
        deployment: ModelDeployment

        @initialize(count=st.integers(1, 4))
        def begin(self, count: int) -> None:
            self.asking: list[st.DataObject] = []
            self.excused = 0
            self.deployment = ModelDeployment(client.create_bucket(f"state-{next(buckets)}"), count, self.meanwhile)

        def meanwhile(self) -> FailureKind | None:
            """While Cloud Run answers one launcher: some steps of the others. Then its answer."""
            data = self.asking[0]
            if len(self.asking) == 1:
                self.asking.append(data)
                for _ in range(data.draw(st.integers(0, 4), "steps meanwhile")):
                    self.step(data)
                self.asking.pop()
            return data.draw(st.sampled_from([None, None, None, FailureKind.QUOTA, FailureKind.NETWORK]), "answer")

        def step(self, data: st.DataObject) -> None:
            """One of the steps that somebody can take now."""
            deployment, workers = self.deployment, list(self.deployment.workers.values())
            steps: list[Callable[[], object]] = [
                partial(deployment.drop, data.draw(st.sampled_from([1.0, 30.0]), "audio")),
                *(partial(deployment.start, execution) for execution in deployment.coming),
            ]
            for worker in workers:
                if worker.has_released:
                    steps.append(partial(deployment.look_again, worker))
                else:
                    steps += [partial(deployment.pull, worker), partial(deployment.work_off, worker)]
            data.draw(st.sampled_from(steps), "step")()

        @rule(data=st.data())
        def any_step(self, data: st.DataObject) -> None:
            self.asking = [data]
            self.step(data)
            self.asking = []

        @precondition(lambda self: self.deployment.workers)
        @rule(data=st.data())
        def a_worker_scales_out(self, data: st.DataObject) -> None:
            self.asking = [data]
            self.deployment.launcher().launch_more()
            self.asking = []

        @invariant()
        def somebody_takes_what_was_queued(self) -> None:
            deployment = self.deployment
            if deployment.launches_failed > self.excused:
                # Refused: these uploads fall back, or are the reconciler's.
                self.excused = deployment.launches_failed
                if deployment.is_at_rest:
                    deployment.queue.clear()
            assert not (deployment.is_at_rest and deployment.queue)

        @invariant()
        def launchers_slots_stand_for_executions_on_their_way(self) -> None:
            if not self.asking:
                assert self.deployment.slots.view().running.starting <= len(self.deployment.coming)

        @invariant()
        def no_more_than_the_slots(self) -> None:
            held = [worker for worker in self.deployment.workers.values() if worker.held]
            assert len(held) + self.deployment.slots.view().running.starting <= self.deployment.count

        def teardown(self) -> None:
            """Without further launches, what is there works the queue off and leaves no slot held."""
            deployment = self.deployment
            while not deployment.is_at_rest:
                if deployment.coming:
                    deployment.start(deployment.coming[0])
                for worker in list(deployment.workers.values()):
                    if not worker.has_released:
                        deployment.work_off(worker)
                    deployment.look_again(worker)
            assert deployment.queue == []
            assert deployment.slots.view().running.count == 0

    return Executions


def test_no_upload_is_left_with_nobody_to_take_it(client: Client) -> None:
    run_state_machine_as_test(
        machine(client),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            # Each step is several calls over HTTP: a failure is shown as it was found.
            phases=[Phase.generate],
        ),
    )
