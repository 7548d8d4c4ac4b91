"""What does the work of the lab's routes, of one gateway."""

from dataclasses import dataclass

from sqlalchemy import Engine

from cluster.settings.tree import Settings
from cluster.stores.experiments import Experiments
from cluster.stores.lab_experiments import LabExperiments
from cluster.stores.lab_metrics import LabMetrics
from cluster.stores.lab_responses import LabResponses
from deployments.clients import Backends
from deployments.gateway.chats import Chats
from deployments.gateway.lab.analytics import AnalyticsDesk
from deployments.gateway.lab.batch_desk import Desk as Batches
from deployments.gateway.lab.batch_responses import BatchResponseDesk
from deployments.gateway.lab.experiment_desk import ExperimentDesk
from deployments.gateway.lab.export_desk import ExportDesk
from deployments.gateway.lab.generation import Generations
from deployments.gateway.lab.material import Materials, Stores
from deployments.gateway.lab.metrics import MetricDesk
from deployments.gateway.lab.responses import ResponseDesk
from deployments.gateway.lab.scores import Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One gateway's. batches: shared with GraphQL."""

    batches: Batches
    batch_responses: BatchResponseDesk
    experiments: ExperimentDesk
    responses: ResponseDesk
    generations: Generations
    metrics: MetricDesk
    analytics: AnalyticsDesk
    exports: ExportDesk


def open_lab(backends: Backends, settings: Settings, chats: Chats, engine: Engine, *, batches: Batches) -> Lab:
    """The desks over one database."""
    store, answers = LabExperiments(engine), LabResponses(engine)
    stores = Stores(batches=Experiments(engine), experiments=store, responses=answers)
    scoring = Scoring(backends.embedder, chats.gate)
    experiments = ExperimentDesk(store, answers)
    generations = Generations(settings, chats, store, answers)
    materials = Materials(settings.home_path, batches, experiments, stores, scoring)
    return Lab(
        batches=batches,
        batch_responses=BatchResponseDesk(batches, materials),
        experiments=experiments,
        responses=ResponseDesk(experiments, answers, generations),
        generations=generations,
        metrics=MetricDesk(answers, LabMetrics(engine), scoring),
        analytics=AnalyticsDesk(materials),
        exports=ExportDesk(materials),
    )
