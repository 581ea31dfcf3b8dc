"""Routing: which method transcribes an upload, and why. Pure.

facts about the upload, conditions
  v
a quote for every method, Parakeet's for each job that the deployment has    shared/costs/quotes.py
  v
what speaks against each of them          limits.py
  v
the method that was requested; else the lowest score (score.py),
or with COST_OPTIMIZATION=false the row of the decision table (decision_table.py)
  v
where privacy, budget, cost limit or a missing engine forbid it: a method that they do not forbid
  v
Decision, with every quote; or Rejected where every method is forbidden
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from shared.costs.gathering import GatherRules
from shared.costs.job_seconds import ONE_EXECUTION, PricingContext, TranscriptionRequest
from shared.costs.language_trial import HeardBeside
from shared.costs.launch_plan import LaunchRules
from shared.costs.prices import JobShape, PriceBook
from shared.costs.quote import Limit, Quote
from shared.costs.quotes import parakeet_quote, quotes_for
from shared.costs.shard_plan import NEVER_DIVIDED, ShardRules
from shared.costs.speeds import Speeds
from shared.deepgram_request import DeepgramRequest, redacted_by_deepgram
from shared.enums import JobDevice, Method
from shared.errors import FailureKind, Rejected
from shared.messages import Decision
from shared.options.model import UploadOptions
from shared.options.speaker_count import speakers_need_the_whole
from trigger_function.routing.decision_table import Thresholds, by_table
from trigger_function.routing.engines import Engines, deepgram_obstacle
from trigger_function.routing.limits import Conditions, DeploymentLimits, UploadFacts, with_refusals
from trigger_function.routing.score import by_score
from trigger_function.settings.function import FunctionSettings

DEFAULT_USD_PER_MINUTE = 0.01


@dataclass(frozen=True)
class Policy:
    """How a deployment decides."""

    method: Method | None = None
    """The method for every upload that requests none; None: decided for each."""
    cost_optimization: bool = True
    """The lowest score decides, not the decision table."""
    usd_per_minute: float = DEFAULT_USD_PER_MINUTE
    """What a minute of waiting is worth."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    limits: DeploymentLimits = field(default_factory=DeploymentLimits)

    @classmethod
    def from_settings(cls, settings: FunctionSettings) -> Policy:
        """The policy as this deployment sets it."""
        return cls(
            method=None if settings.transcription_method == "auto" else settings.transcription_method,
            cost_optimization=settings.cost_optimization,
            usd_per_minute=settings.time_value_usd_per_minute,
            thresholds=Thresholds(
                parakeet_max_minutes=settings.parakeet_max_minutes,
                parakeet_max_mb=settings.parakeet_max_mb,
                short_hours=settings.short_file_threshold_hours,
                long_hours=settings.long_file_threshold_hours,
                deepgram_min_mb=settings.deepgram_min_mb,
            ),
            limits=DeploymentLimits(
                max_completion_minutes=settings.max_completion_minutes,
                max_cost_per_audio_hour_usd=settings.max_cost_per_audio_hour_usd,
                gpu_min_monthly_files=settings.gpu_min_monthly_files,
                gpu_rollout_percent=settings.gpu_rollout_percent,
            ),
        )


@dataclass(frozen=True)
class Router:
    """Decides for every upload of one deployment; made once, from its settings and prices."""

    policy: Policy
    engines: Engines
    prices: PriceBook
    gpu_job_shape: JobShape
    """What an instance of the GPU job is billed for."""
    cpu_job_shape: JobShape
    """The same of the CPU job, where there is one."""
    deepgram_model: str
    idle_seconds: float
    """How long an execution looks for more work before it ends."""
    language: str = "en"
    """LANGUAGE."""
    gather: GatherRules = field(default_factory=GatherRules)
    shards: ShardRules = NEVER_DIVIDED
    gpu_launches: LaunchRules = ONE_EXECUTION
    """How many executions of the GPU job work on what is divided."""
    cpu_launches: LaunchRules = ONE_EXECUTION

    @classmethod
    def from_settings(cls, settings: FunctionSettings, prices: PriceBook) -> Router:
        """The router of the deployment that the settings describe."""
        return cls(
            policy=Policy.from_settings(settings),
            engines=Engines.from_settings(settings),
            prices=prices,
            gpu_job_shape=settings.shape,
            cpu_job_shape=JobShape(gpu=None, vcpu=settings.cpu_job_vcpu, memory_gib=settings.cpu_job_memory_gib),
            deepgram_model=settings.deepgram_model,
            language=settings.language,
            idle_seconds=settings.work_idle_seconds,
            gather=settings.gather_rules,
            shards=settings.shard_rules,
            gpu_launches=settings.launch_rules(JobDevice.GPU),
            cpu_launches=settings.launch_rules(JobDevice.CPU),
        )

    def for_model(self, deepgram_model: str | None) -> Router:
        """The same for another of Deepgram's models; None: this one."""
        if deepgram_model is None:
            return self
        languages = replace(self.engines.languages, deepgram_model=deepgram_model)
        engines = replace(self.engines, deepgram_model=deepgram_model, languages=languages)
        return replace(self, deepgram_model=deepgram_model, engines=engines)

    def decide(self, upload: UploadFacts, conditions: Conditions) -> Decision:
        """The method for an upload, with every method's quote.

        Raises Rejected where no method may be used (of kind QUOTA where the budget is a reason), UnknownPrice or
        UnknownDevice.
        """
        return self.choose(upload, conditions, self.quotes(upload, conditions))

    def quotes(self, upload: UploadFacts, conditions: Conditions) -> tuple[Quote, ...]:
        """What every method would cost and take. Raises UnknownPrice or UnknownDevice."""
        jobs = {
            JobDevice.GPU: (self.gpu_job_shape, conditions.queue),
            JobDevice.CPU: (self.cpu_job_shape, conditions.cpu_queue),
        }
        deadline = self.policy.limits.deadline_minutes(upload.options)
        request = TranscriptionRequest(
            upload.media,
            streams=upload.options.streams(upload.media),
            deadline_seconds=None if deadline is None else deadline * 60,
            speakers=upload.options.tells_speakers_apart,
            speakers_need_the_whole=speakers_need_the_whole(self.engines.speaker_model, upload.options.speakers),
            keyterms=upload.options.has_keyterms,
            second_opinion_usd=self._second_opinion_usd(upload.options),
            deepgram_may_complete=self._deepgram_may_complete(upload),
            job_may_complete=self._job_may_complete(upload),
            deepgram_redacts=bool(redacted_by_deepgram(upload.options)),
            deepgram_multilingual=DeepgramRequest.of_upload(upload.options, self.language).is_multilingual(
                self.deepgram_model
            ),
            redacted_audio=upload.options.redaction.makes_audio,
        )

        speeds = conditions.speeds.for_model(self.engines.languages.model_for(upload.options.language))

        def pricing(shape: JobShape) -> PricingContext:
            is_cpu = shape.job_device is JobDevice.CPU
            return PricingContext(
                self.prices,
                shape,
                speeds,
                self.deepgram_model,
                self.idle_seconds,
                self.gather,
                launches=self.cpu_launches if is_cpu else self.gpu_launches,
                shards=self.shards,
                queue_x_real_time=conditions.speeds.of(shape.device).x_real_time,
                trial=self._trial(upload.options, conditions.speeds, shape),
            )

        (shape, queue), *others = (jobs[device] for device in self._devices(gpu_healthy=conditions.gpu_healthy))
        parakeet, *rest = quotes_for(request, pricing(shape), queue)
        return (parakeet, *(parakeet_quote(request, pricing(shape), queue) for shape, queue in others), *rest)

    def _trial(self, options: UploadOptions, speeds: Speeds, shape: JobShape) -> HeardBeside:
        """What hears the first speech of an upload beside its model. `speeds`: with the deployment's own model."""
        engines = self.engines
        beside = engines.heard_beside(options.language, shape.job_device)
        models = {name: None if name == engines.own_model else name for name in beside}
        x_real_time = {name: speeds.for_model(model).of(shape.device).x_real_time for name, model in models.items()}
        return HeardBeside(engines.trial_seconds, x_real_time)

    def _second_opinion_usd(self, options: UploadOptions) -> float:
        """Most that Deepgram may cost beside the job's own engine; 0 where it may not be asked."""
        may_ask = self.engines.deepgram and not options.is_private
        return options.second_opinion_usd or 0.0 if may_ask else 0.0

    def _deepgram_may_complete(self, upload: UploadFacts) -> bool:
        """Whether Deepgram may be asked where a job's transcript has fewer words than the upload's least coverage."""
        engines, options = self.engines, upload.options
        if options.min_coverage is None or options.is_private or not engines.fallback or upload.is_one_engines:
            return False
        obstacle = deepgram_obstacle(upload.media, engines) or engines.languages.deepgram_obstacle(options.language)
        return obstacle is None

    def _job_may_complete(self, upload: UploadFacts) -> bool:
        """The same of a job, where Deepgram's transcript has fewer."""
        engines, is_asked = self.engines, upload.options.min_coverage is not None and not upload.is_one_engines
        return is_asked and engines.fallback and (engines.gpu or engines.cpu)

    def _devices(self, *, gpu_healthy: bool) -> Sequence[JobDevice]:
        """The jobs of this deployment, the one that can be had and is faster first. One at least."""
        if not self.engines.cpu:
            return (JobDevice.GPU,)
        if not self.engines.gpu:
            return (JobDevice.CPU,)
        return (JobDevice.GPU, JobDevice.CPU) if gpu_healthy else (JobDevice.CPU, JobDevice.GPU)

    def choose(self, upload: UploadFacts, conditions: Conditions, quotes: Iterable[Quote]) -> Decision:
        """The method to take by the quotes given. Raises Rejected as `decide` does."""
        limits, engines = self.policy.limits, self.engines
        quotes = tuple(with_refusals(quote, upload, limits, engines, conditions) for quote in quotes)
        if all(quote.binding for quote in quotes):
            raise _rejection(quotes)
        decision = self._permitted(self._preferred(upload, conditions, quotes), quotes)
        return decision.model_copy(update={"quotes": quotes})

    def _preferred(self, upload: UploadFacts, conditions: Conditions, quotes: Sequence[Quote]) -> Decision:
        """The method to take, were none forbidden."""
        requested = upload.options.method or self.policy.method
        if requested is not None and requested != "auto":
            return self._of_method(
                Decision(method=requested, rule="requested", reason=f"{requested.value} was asked for."), quotes
            )
        if self.policy.cost_optimization:
            return by_score(quotes, self.policy.usd_per_minute)
        gpu = self.engines.gpu and conditions.gpu_healthy
        row = by_table(upload.media, self.policy.thresholds, gpu=gpu, deepgram=self.engines.deepgram)
        # By length and size alone: of two jobs the first, not the cheaper one.
        first = next(quote for quote in quotes if quote.method is row.method)
        return row.model_copy(update={"device": first.device})

    def _of_method(self, decided: Decision, quotes: Sequence[Quote]) -> Decision:
        """A decision for a method, with the job that the policy would take for it."""
        device = self._best(quote for quote in quotes if quote.method is decided.method).device
        return decided.model_copy(update={"device": device})

    def _best(self, quotes: Iterable[Quote]) -> Quote:
        """The best of some quotes, also where all of them are forbidden."""
        some = tuple(quotes)
        if all(quote.binding for quote in some):
            return some[0]
        decision = by_score(some, self.policy.usd_per_minute)
        return next(quote for quote in some if decision.takes(quote))

    def fallback(self, before: Decision, method: Method, because: str) -> Decision:
        """The decision for another method, by the quotes of routing time."""
        # Each engine has its turn once: nothing is left to ask where words are missing then.
        quotes = tuple(quote.without_completion() for quote in before.quotes)
        changes = {"method": method, "rule": f"{before.rule}-fallback", "reason": f"{before.reason} {because}"}
        instead = before.model_copy(update={**changes, "device": None, "quotes": quotes})
        return self._of_method(instead, quotes) if quotes else instead

    def _permitted(self, preferred: Decision, quotes: Sequence[Quote]) -> Decision:
        """What is preferred; where it is forbidden, what is not."""
        binding = next(quote.binding for quote in quotes if preferred.takes(quote))
        if not binding:
            return preferred
        refusal = binding[0]
        other_job = any(quote.method is preferred.method and not quote.binding for quote in quotes)
        if refusal.limit in _OF_ENGINES and not (self.engines.fallback or other_job):
            name = preferred.method.value.capitalize()
            raise Rejected(f"{name} cannot be used: {refusal.why}; fallback is switched off.")
        own = [quote for quote in quotes if quote.method is Method.PARAKEET and not quote.binding]
        instead = self._best(own or [quote for quote in quotes if not quote.binding])
        why = refusal.why[0].upper() + refusal.why[1:]
        return Decision(
            method=instead.method,
            device=instead.device,
            rule=f"{preferred.rule}-{_RULE_SUFFIXES[refusal.limit]}",
            reason=f"{preferred.reason} {why}: {instead.method.capitalize()}.",
        )


_OF_ENGINES = frozenset({Limit.ENGINE, Limit.FILE_SIZE, Limit.LANGUAGE})
"""What a method cannot do, whatever it may."""

_RULE_SUFFIXES = {
    Limit.PRIVACY: "private",
    Limit.ENGINE: "without-deepgram",
    Limit.FILE_SIZE: "too-large",
    Limit.LANGUAGE: "language",
    Limit.BUDGET: "over-budget",
    Limit.MAX_COST: "over-max-cost",
}
"""What is appended to the name of a rule whose method is forbidden."""


def _rejection(quotes: Sequence[Quote]) -> Rejected:
    limits = {refusal.limit for quote in quotes for refusal in quote.binding}
    why = "; ".join(f"{quote.label}: {', '.join(one.why for one in quote.binding)}" for quote in quotes)
    kind = FailureKind.QUOTA if Limit.BUDGET in limits else None
    return Rejected(f"No method may transcribe the file: {why}.", kind)
