"""A budget and the GPU's circuit through a whole cloud, with the function and the job as processes."""

from __future__ import annotations

from pathlib import Path

from infra.emulators.cloud import ALERTS_TOPIC, JOB, PROJECT, STATE, CloudOptions
from infra.recordings import recording
from shared.clock import now
from shared.errors import FailureKind
from shared.state.gpu_breaker import CircuitState, gpu_health
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import user_client_of
from tests.support.waiting import PATIENCE, wait_until
from trigger_function.alerts import BudgetAlert

CALL = recording("call").path


def test_what_the_budget_cannot_pay_is_rejected_and_the_owner_warned(tmp_path: Path) -> None:
    settings = {"MONTHLY_BUDGET_USD": "0.0001"}
    with FaultyLaptopCloud(tmp_path, CloudOptions(method="auto", settings=settings)) as cloud:
        subscriber = cloud.subscriber()
        alerts = subscriber.subscription_path(PROJECT, "owner")
        subscriber.create_subscription(name=alerts, topic=f"projects/{PROJECT}/topics/{ALERTS_TOPIC}")
        user = user_client_of(cloud)
        message = user.outcome(user.drop(CALL, "calls/a.opus"))
        assert (message["outcome"], message["failure_kind"]) == ("rejected", "quota")
        assert "of which $0.0001 is left" in message["reason"]
        received = subscriber.pull(subscription=alerts, max_messages=10, timeout=PATIENCE).received_messages
        shares = [BudgetAlert.model_validate_json(one.message.data).share for one in received]
        assert shares == [1.0]
        assert not cloud.runner.executions()


def test_refused_launches_open_the_circuit_and_a_trials_transcript_closes_it(tmp_path: Path) -> None:
    # The function knows of a GPU job, whose worker finds no GPU here.
    gpu = {"GPU_JOB": JOB, "CPU_JOB": "", "JOB_GPU": "nvidia-l4"}
    settings = {"GPU_BREAKER_FAILURES": "2", "GPU_BREAKER_COOL_DOWN_SECONDS": "5", **gpu}
    options = CloudOptions(method="parakeet", deepgram=False, settings=settings, job_settings={"JOB_GPU": "none"})
    with FaultyLaptopCloud(tmp_path, options) as cloud:
        state, user = cloud.storage().bucket(STATE), user_client_of(cloud)
        cloud.runner.refuse_next(2, 429)
        refused = []
        for number in range(2):
            refused.append(user.drop(CALL, f"refused/{number}.opus"))
            # One after the other: while one upload launches, another one relies on it.
            wait_until(
                lambda: gpu_health(state).failures == {FailureKind.QUOTA: len(refused)}, "the refusal is recorded"
            )
        assert gpu_health(state).state is CircuitState.OPEN
        wait_until(lambda: gpu_health(state).available(now()), "the cool-down ends")
        trial = user.drop(CALL, "trial.opus")
        # One execution takes the trial and what waited on the queue.
        assert user.outcome(trial)["outcome"] == "completed"
        wait_until(lambda: gpu_health(state).state is CircuitState.CLOSED, "the circuit closes")
        assert {user.outcome(name)["outcome"] for name in refused} == {"completed"}
        assert len(cloud.runner.executions()) == 1
